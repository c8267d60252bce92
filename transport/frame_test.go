package transport_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/alkdev/hubspoke/transport"
)

func TestParseFrame(t *testing.T) {
	long := strings.Repeat("é", 128)
	for _, c := range []struct{ in, typ, payload string }{
		{`{"type":"call.requested","payload":{"a":1}}`, "call.requested", `{"a":1}`},
		{`{"type":"__ping","payload":null}`, "__ping", ""},
		{`{"type":"__ping"}`, "__ping", ""},
		{` { "payload" : [ 1 ] , "x" : {} , "type" : "a" } `, "a", "[ 1 ]"},
		{`{"type":"a","payload": 1 }`, "a", "1"},
		{`{"type":"\u0061\ud83d\ude00","payload":""}`, "a😀", `""`},
		{`{"\u0074ype":"a"}`, "a", ""},
		{`{"type":"a","Type":"b","TYPE":1,"payload":1,"Payload":2}`, "a", "1"},
		{`{"type":"a","x":1,"x":2}`, "a", ""},
		{`{"type":"` + long + `","payload":0}`, long, "0"},
	} {
		f, err := transport.ParseFrame([]byte(c.in))
		if err != nil || f.Type != c.typ || string(f.Payload) != c.payload || (f.Payload == nil) != (c.payload == "") {
			t.Errorf("%.60s: %q %q %v", c.in, f.Type, f.Payload, err)
		}
	}
}

func TestParseFrameRefuses(t *testing.T) {
	deep := strings.Repeat("[", 10000) + strings.Repeat("]", 10000)
	for _, in := range []string{
		"", " ", "null", "[]", `"type"`, "{}", `{"payload":1}`, `{"type":1}`, `{"type":null}`, `{"type":""}`,
		`{"Type":"a"}`,
		`{"type":"a","type":"a"}`, `{"type":"a","t\u0079pe":"a"}`, `{"type":"a","payload":1,"payload":1}`,
		`{"type":"a","payload":null,"payload":null}`,
		`{"type":"a\u0000"}`, `{"type":"a\n"}`, "{\"type\":\"a\x7f\"}", "{\"type\":\"a\u0085\",\"payload\":1}",
		`{"type":"` + strings.Repeat("é", 129) + `"}`,
		"{\"type\":\"a\xff\"}", "{\"type\":\"a\",\"payload\":\"\xff\"}",
		`{"type":"a","payload":1}x`, `{"type":"a","payload":1,}`, `{"type":"a","payload":}`, `{"type":"a","payload":01}`,
		`{"type":"a","payload":1}}`, `{"type":"a"`, `{"type":"a","payload":` + deep + `}`,
	} {
		if f, err := transport.ParseFrame([]byte(in)); !errors.Is(err, transport.ErrNotFrame) {
			t.Errorf("%.60s: %v, %v", in, f, err)
		}
	}
}

func TestParseFrameDoesNotAllocate(t *testing.T) {
	for _, typ := range []string{"call.requested", "call.responded", "call.error", "__ack", "__pong"} {
		data := transport.AppendFrame(nil, typ, []byte(`{"requestId":"x","input":[1,2,{"a":"b"}]}`))
		if n := testing.AllocsPerRun(100, func() { _, _ = transport.ParseFrame(data) }); n != 0 {
			t.Errorf("%s: %v allocations", typ, n)
		}
	}
}

// reference is ParseFrame by way of encoding/json.
func reference(data []byte) (typ string, payload []byte, ok bool) {
	var members map[string]json.RawMessage
	if !utf8.Valid(data) || json.Unmarshal(data, &members) != nil || members == nil || twice(data) {
		return "", nil, false
	}
	raw := members["type"]
	if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &typ) != nil {
		return "", nil, false
	}
	if typ == "" || len(typ) > 256 || strings.ContainsFunc(typ, unicode.IsControl) {
		return "", nil, false
	}
	if p := members["payload"]; string(p) != "null" {
		payload = p
	}
	return typ, payload, true
}

// twice reports whether type or payload stands in the outermost object twice.
func twice(data []byte) bool {
	d := json.NewDecoder(bytes.NewReader(data))
	count := map[string]int{}
	_, _ = d.Token()
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return false
		}
		if s, ok := name.(string); ok {
			count[s]++
		}
		var value json.RawMessage
		if d.Decode(&value) != nil && !errors.Is(d.Decode(&value), io.EOF) {
			return false
		}
	}
	return count["type"] > 1 || count["payload"] > 1
}

func FuzzParseFrame(f *testing.F) {
	for _, s := range []string{
		`{"type":"call.requested","payload":{"a":1}}`, `{"type":"a","payload":null}`, `{"payload":1,"type":"\u0061"}`,
		`{"type":"a","type":"b"}`, ` {"x":[{}],"type":"a","payload": "\ud800" } `, "{\"type\":\"\u0085\"}", `{"type":"a","payload": 1}`,
		`{"type":"a","payload":1 }`, `{"type":"a\\","payload":1}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		frame, err := transport.ParseFrame(data)
		typ, payload, ok := reference(data)
		if ok != (err == nil) || frame.Type != typ || !bytes.Equal(frame.Payload, payload) || (frame.Payload == nil) != (payload == nil) {
			t.Fatalf("%q: got %q %q %v, want %q %q %v", data, frame.Type, frame.Payload, err, typ, payload, ok)
		}
		if err != nil {
			if !errors.Is(err, transport.ErrNotFrame) {
				t.Fatalf("%v", err)
			}
			return
		}
		again, err := transport.ParseFrame(transport.AppendFrame(nil, frame.Type, frame.Payload))
		if err != nil || again.Type != frame.Type || !bytes.Equal(again.Payload, frame.Payload) {
			t.Fatalf("round trip: %q %q %v", again.Type, again.Payload, err)
		}
	})
}

func BenchmarkFrame(b *testing.B) {
	long := []byte(`{"requestId":"0193","input":"` + strings.Repeat("x", 4000) + `"}`)
	for name, payload := range map[string][]byte{"128B": []byte(`{"requestId":"019333aa","operationId":"text.wordcount","input":{"text":"hello world","n":12345}}`), "4KiB": long} {
		data := transport.AppendFrame(nil, "call.requested", payload)
		b.Run("parse/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := transport.ParseFrame(data); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("append/"+name, func(b *testing.B) {
			b.ReportAllocs()
			var dst []byte
			for b.Loop() {
				dst = transport.AppendFrame(dst[:0], "call.requested", payload)
			}
		})
	}
}

// A frame may be nested 10,000 levels, its own object included, and Deep says where a value in it
// has to be measured.
func TestParseFrameDepth(t *testing.T) {
	for _, layout := range []string{`{"type":"a","payload":%}`, `{"payload":%,"type":"a"}`, ` {"payload":{},"x":%,"type":"a"}`} {
		for depth, ok := range map[int]bool{1: true, 64: true, 65: true, 9998: true, 9999: true, 10000: false} {
			nested := strings.Repeat("[", depth) + strings.Repeat("]", depth)
			f, err := transport.ParseFrame([]byte(strings.Replace(layout, "%", nested, 1)))
			if (err == nil) != ok || err != nil && !errors.Is(err, transport.ErrNotFrame) {
				t.Errorf("depth %d in %s: %v", depth, layout, err)
			}
			if err == nil && f.Deep != (string(f.Payload) == nested && depth > transport.ShallowDepth) {
				t.Errorf("depth %d in %s: Deep is %v", depth, layout, f.Deep)
			}
		}
	}
}

// The bounds of a type, at the exact values.
func TestTypeBounds(t *testing.T) {
	for typ, ok := range map[string]bool{
		strings.Repeat("a", transport.MaxTypeBytes): true, strings.Repeat("a", transport.MaxTypeBytes+1): false,
		"": false, "a\x7e": true, "a\x7f": false, "\u007f": false, "\u0080": false, "\u009f": false, "\u00a0": true, "a\u001f": false, " ": true,
	} {
		for _, message := range [][]byte{
			transport.AppendFrame(nil, typ, nil),
			append(transport.AppendFrame([]byte(" "), typ, []byte(" null")), ' '),
		} {
			if f, err := transport.ParseFrame(message); (err == nil) != ok || ok && f.Type != typ {
				t.Errorf("%q: %q, %v", message, f.Type, err)
			}
		}
	}
}
