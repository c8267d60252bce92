package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestParseEvents(t *testing.T) {
	long := strings.Repeat("é", 128)
	for _, c := range []struct{ in, topic, payload string }{
		{`{"type":"a.b","payload":{"a":1}}`, "a.b", `{"a":1}`},
		{`{"type":"a","payload":null}`, "a", ""},
		{`{"type":"a"}`, "a", ""},
		{` { "payload" : [ 1 ] , "x" : {} , "type" : "a" } `, "a", "[ 1 ]"},
		{`{"type":"a","payload": 1 }`, "a", "1"},
		{`{"type":"\u0061\ud83d\ude00","payload":""}`, "a😀", `""`},
		{`{"\u0074ype":"a"}`, "a", ""},
		{`{"type":"a","Type":"b","TYPE":1,"payload":1,"Payload":2}`, "a", "1"},
		{`{"type":"a","x":1,"x":2}`, "a", ""},
		{`{"type":"` + long + `","payload":0}`, long, "0"},
		{`{"type":"hub.spoke.connected","payload":{}}`, "hub.spoke.connected", "{}"},
	} {
		var m Message
		err := Parse([]byte(c.in), &m)
		if err != nil || m.Type != Event || string(m.Topic) != c.topic || string(m.Payload) != c.payload || (m.Payload == nil) != (c.payload == "") {
			t.Errorf("%.60s: %+v %v", c.in, m, err)
		}
	}
}

func TestParseTypes(t *testing.T) {
	for typ := Requested; int(typ) < len(typeNames); typ++ {
		var m Message
		if err := Parse([]byte(`{"type":"`+typ.String()+`"}`), &m); err != nil || m.Type != typ {
			t.Errorf("%s: %v %v", typ, m.Type, err)
		}
		if !Reserved(typ.String()) || !Reserved([]byte(typ.String())) {
			t.Errorf("%s is not reserved", typ)
		}
	}
	for _, typ := range []string{"__x", "call.", "call.x", "__"} {
		var m Message
		if err := Parse([]byte(`{"type":"`+typ+`","payload":7}`), &m); err != nil || m.Type != Unknown || string(m.Topic) != typ || m.Err != nil {
			t.Errorf("%s: %+v %v", typ, m, err)
		}
	}
	for _, topic := range []string{"_", "_x", "a__", "call", "calls.x", "hub.x", "c"} {
		if Reserved(topic) {
			t.Errorf("%s is reserved", topic)
		}
	}
}

// Every message counts for the acknowledgements of a session but those that only concern the connection.
func TestCounted(t *testing.T) {
	for typ := Event; int(typ) < len(typeNames); typ++ {
		if got := typ.Counted(); got == slices.Contains([]Type{Ack, Ping, Pong, Drain}, typ) {
			t.Errorf("%v is counted: %v", typ, got)
		}
		if got := typ.Answers(); got != slices.Contains([]Type{Responded, Completed, Failed}, typ) {
			t.Errorf("%v answers: %v", typ, got)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	deep := strings.Repeat("[", 10000) + strings.Repeat("]", 10000)
	for _, in := range []string{
		"", " ", "null", "[]", `"type"`, "{}", `{"payload":1}`, `{"type":1}`, `{"type":null}`, `{"type":""}`,
		`{"Type":"a"}`, `{"type"}`, `{"type":}`,
		`{"type":"a","type":"a"}`, `{"type":"a","t\u0079pe":"a"}`, `{"type":"a","payload":1,"payload":1}`,
		`{"type":"a","payload":null,"payload":null}`, `{"payload":1,"payload":1,"type":"a"}`,
		`{"type":"a\u0000"}`, `{"type":"a\n"}`, "{\"type\":\"a\x7f\"}", "{\"type\":\"a\u0085\",\"payload\":1}",
		`{"type":"` + strings.Repeat("é", 129) + `"}`,
		"{\"type\":\"a\xff\"}", "{\"type\":\"a\",\"payload\":\"\xff\"}",
		`{"type":"a","payload":1}x`, `{"type":"a","payload":1,}`, `{"type":"a","payload":}`, `{"type":"a","payload":01}`,
		`{"type":"a","payload":1}}`, `{"type":"a"`, `{"type":"a","payload":` + deep + `}`,
		`{"type":"__ack","payload":{"received":1}`, `{"type":"call.requested","payload":{"requestId":"1","input":[}}`,
	} {
		var m Message
		if err := Parse([]byte(in), &m); !errors.Is(err, ErrNotFrame) {
			t.Errorf("%.60s: %+v, %v", in, m, err)
		}
	}
}

// A frame may be nested 10,000 levels, its own object included, and the depth of its value is measured.
func TestParseDepth(t *testing.T) {
	for _, layout := range []string{`{"type":"a","payload":%}`, `{"payload":%,"type":"a"}`, ` {"payload":{},"x":%,"type":"a"}`} {
		for depth, ok := range map[int]bool{0: true, 1: true, 64: true, 65: true, 9998: true, 9999: true, 10000: false} {
			nested := strings.Repeat("[", depth) + strings.Repeat("]", depth)
			if depth == 0 {
				nested = "7"
			}
			var m Message
			err := Parse([]byte(strings.Replace(layout, "%", nested, 1)), &m)
			if (err == nil) != ok || err != nil && !errors.Is(err, ErrNotFrame) {
				t.Errorf("depth %d in %s: %v", depth, layout, err)
			}
			if want := map[bool]int{true: depth, false: 1}[string(m.Payload) == nested]; err == nil && m.Depth != want {
				t.Errorf("depth %d in %s: %d", depth, layout, m.Depth)
			}
		}
	}
	for in, want := range map[string]int{
		`{"type":"call.requested","payload":{"requestId":"1","operationId":"a.b","input":[[1]],"metadata":{}}}`:                                       2,
		`{"type":"call.requested","payload":{"requestId":"1","operationId":"a.b","input":1,"metadata":{"a":[{}]},"selector":{"deep":"not counted"}}}`: 3,
		`{"type":"call.responded","payload":{"requestId":"1","output":{"data":[[]],"meta":{"source":"local"}}}}`:                                      2,
		`{"type":"call.responded","payload":{"requestId":"1","output":{"data":1,"meta":{"source":"http","x":[[]]},"y":[[[[]]]]}}}`:                    3,
		`{"type":"call.responded","payload":{"requestId":"1","output":{"data":[],"meta":1}}}`:                                                         2,
		`{"type":"call.responded","payload":{"requestId":"1","output":[[[]]]}}`:                                                                       3,
		`{"type":"call.responded","payload":{"requestId":"1","output":7}}`:                                                                            0,
		`{"type":"call.error","payload":{"requestId":"1","code":"A","details":{"sent":true}}}`:                                                        1,
		`{"type":"call.error","payload":{"requestId":"1","code":"A","details":{"x":[[]],"y":1}}}`:                                                     3,
		`{"type":"call.error","payload":{"requestId":"1","code":"A","details":[[]]}}`:                                                                 2,
	} {
		var m Message
		if err := Parse([]byte(in), &m); err != nil || m.Err != nil || m.Depth != want {
			t.Errorf("%s: depth %d, want %d; %v %v", in, m.Depth, want, err, m.Err)
		}
	}
}

// The bounds of a type, at the exact values.
func TestTypeBounds(t *testing.T) {
	for typ, ok := range map[string]bool{
		strings.Repeat("a", MaxTypeBytes): true, strings.Repeat("a", MaxTypeBytes+1): false,
		"": false, "a\x7e": true, "a\x7f": false, "\u007f": false, "\u0080": false, "\u009f": false, "\u00a0": true, "a\u001f": false, " ": true,
	} {
		for _, message := range [][]byte{AppendEvent(nil, typ, nil), append(AppendEvent([]byte(" "), typ, []byte(" null")), ' ')} {
			var m Message
			if err := Parse(message, &m); (err == nil) != ok || ok && string(m.Topic) != typ {
				t.Errorf("%q: %q, %v", message, m.Topic, err)
			}
		}
	}
}

// What is wrong with a payload concerns that message, and keeps its id where there is one.
func TestMalformedPayloads(t *testing.T) {
	for _, c := range []struct{ typ, payload, id, err string }{
		{"call.requested", `null`, "", "no requestId"},
		{"call.requested", `[]`, "", "no requestId"},
		{"call.requested", `{"operationId":"a.b"}`, "", "no requestId"},
		{"call.requested", `{"requestId":7,"operationId":"a.b"}`, "", "no requestId"},
		{"call.requested", `{"requestId":"","operationId":"a.b"}`, "", "no requestId"},
		{"call.requested", `{"requestId":"` + strings.Repeat("x", 129) + `"}`, "", "no requestId"},
		{"call.requested", `{"requestId":"1"}`, "1", "no operationId"},
		{"call.requested", `{"requestId":"1","operationId":null}`, "1", "no operationId"},
		{"call.requested", `{"requestId":"1","operationId":7}`, "1", "operationId is not a string of at most 256 bytes"},
		{"call.requested", `{"requestId":"1","operationId":"` + strings.Repeat("x", 257) + `"}`, "1", "operationId is not"},
		{"call.requested", `{"requestId":"1","operationId":"a.b","operationId":"a.b"}`, "1", `duplicate member "operationId"`},
		{"call.requested", `{"requestId":"1","operationId":"a.b","requestId":"2"}`, "1", `duplicate member "requestId"`},
		{"call.requested", `{"requestId":"1","operationId":"a.b","input":1,"input":1}`, "1", `duplicate member "input"`},
		{"call.requested", `{"requestId":"1","operationId":"a.b","stream":1}`, "1", "stream is not a boolean"},
		{"call.requested", `{"requestId":"1","operationId":"a.b","credit":-1}`, "1", "credit is not an integer from 0"},
		{"call.requested", `{"requestId":"1","operationId":"a.b","credit":1.5}`, "1", "credit is not an integer from 0"},
		{"call.requested", `{"requestId":"1","operationId":"a.b","timeout":"1"}`, "1", "timeout is not an integer, in milliseconds"},
		{"call.requested", `{"requestId":"1","operationId":"a.b","idleTimeout":1.5}`, "1", "idleTimeout is not an integer"},
		{"call.requested", `{"requestId":"1","operationId":"a.b","idleTimeout":-1}`, "1", "idleTimeout is negative: -1"},
		{"call.requested", `{"requestId":"1","operationId":"a.b","timeout":1e3}`, "1", "timeout is not an integer"},
		{"call.requested", `{"requestId":"1","operationId":"a.b","deadline":true}`, "1", "deadline is not an integer"},
		{"call.requested", `{"requestId":"1","operationId":"a.b","selector":[]}`, "1", "selector is not an object"},
		{"call.requested", `{"requestId":"1","operationId":"a.b","metadata":"x"}`, "1", "metadata is not an object"},
		{"call.requested", `{"requestId":"1","operationId":"a.b","identity":7}`, "1", "identity is not an object"},
		{"call.requested", `{"requestId":"1","operationId":"a.b","to":{}}`, "1", "to is not a string"},
		{"call.requested", `{"requestId":"1","operationId":"a.b","originId":"` + strings.Repeat("x", 129) + `"}`, "1", "originId is not"},
		{"call.responded", `{"output":1}`, "", "no requestId"},
		{"call.responded", `{"requestId":"1","output":1,"output":1}`, "1", `duplicate member "output"`},
		{"call.responded", `{"requestId":"1","output":1,"requestId":"1"}`, "1", `duplicate member "requestId"`},
		{"call.error", `{"requestId":"1","code":"A","code":"A"}`, "1", `duplicate member "code"`},
		{"call.credit", `{"requestId":"1"}`, "1", "no credit"},
		{"call.credit", `{"requestId":"1","credit":null}`, "1", "no credit"},
		{"call.credit", `{"requestId":"1","credit":"5"}`, "1", "credit is not an integer"},
		{"__ack", `{"received":-1}`, "", "received is negative"},
		{"__ack", `{"received":"1"}`, "", "received is not an integer"},
		{"__ack", `7`, "", "not an object"},
		{"__ack", `null`, "", "not an object"},
		{"__denied", `null`, "", "not an object"},
		{"__drain", `{"retryAfter":[]}`, "", "retryAfter is not an integer"},
		{"__subscribe", `{}`, "", "no topic"},
		{"__subscribe", `{"topic":7}`, "", "topic is not a string"},
		{"__gap", `{"dropped":1}`, "", "no topic"},
		{"__gap", `{"topic":"a","dropped":"1"}`, "", "dropped is not an integer"},
		{"__denied", `{"code":1}`, "", "code is not a string"},
	} {
		var m Message
		err := Parse([]byte(`{"type":"`+c.typ+`","payload":`+c.payload+`}`), &m)
		if err != nil || m.Err == nil || !strings.Contains(m.Err.Error(), c.err) || string(m.ID) != c.id {
			t.Errorf("%s %.80s: id %q, %v %v, want %s", c.typ, c.payload, m.ID, err, m.Err, c.err)
		}
	}
}

// Members that a type does not define are ignored, whatever they are; so are values that an error
// leaves out.
func TestIgnoredMembers(t *testing.T) {
	for _, in := range []string{
		`{"type":"call.completed","payload":{"requestId":"1","output":1,"output":2,"credit":"x","REQUESTID":3}}`,
		`{"type":"call.aborted","payload":{"requestId":"1","reason":7}}`,
		`{"type":"call.error","payload":{"requestId":"1","code":7,"message":[],"retryable":"x","details":9}}`,
		`{"type":"call.requested","payload":{"requestId":"1","operationId":"a.b","output":1,"output":2,"to":null,"credit":null,"timeout":null,"selector":null}}`,
		`{"type":"__ping","payload":{"received":"x"}}`,
		`{"type":"__ack","payload":{}}`, `{"type":"__drain"}`, `{"type":"__denied","payload":{}}`,
	} {
		var m Message
		if err := Parse([]byte(in), &m); err != nil || m.Err != nil {
			t.Errorf("%s: %v %v", in, err, m.Err)
		}
	}
}

func TestParseDoesNotAllocate(t *testing.T) {
	var m Message
	for _, data := range [][]byte{
		AppendRequested(nil, &Call{ID: "x", Operation: "a.b", Input: []byte(`[1,2,{"a":"b"}]`), Credit: 5, Timeout: 1e9, To: "w", OriginID: "o"}),
		AppendRespondedData(nil, "x", []byte(`{"a":[1,2]}`), nil, "a.b", now),
		AppendCompleted(nil, "x"), AppendCredited(nil, "x", 7), AppendAborted(nil, "x", "r"), AppendAck(nil, 1041),
		AppendBare(nil, Ping), AppendEvent(nil, "a.b", []byte(`{"a":1}`)), AppendGap(nil, "t", 1),
	} {
		if n := testing.AllocsPerRun(100, func() { _ = Parse(data, &m) }); n != 0 {
			t.Errorf("%s: %v allocations", data, n)
		}
	}
}

// reference is Parse by way of encoding/json, as far as type and payload.
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

// twice reports whether the outermost object names type or payload twice.
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

func FuzzParse(f *testing.F) {
	for _, s := range messages {
		f.Add([]byte(s))
	}
	for _, s := range []string{
		`{"type":"a","payload":null}`, `{"payload":1,"type":"\u0061"}`, `{"payload":{"requestId":"1"},"type":"call.completed"}`,
		`{"type":"a","type":"b"}`, ` {"x":[{}],"type":"a","payload": "\ud800" } `, "{\"type\":\"\u0085\"}", `{"type":"a","payload": 1}`,
		`{"type":"a\\","payload":1}`, `{"type":"call.error","payload":{"requestId":"1","details":{"sent":1,"sent":true,"\u0073ent":false,"x":{}}}}`,
		`{"type":"call.requested","payload":{"requestId":"\u0041\ud800","operationId":"a.b","deadline":9223372036854775807,"input":null}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		var m Message
		err := Parse(data, &m)
		if !bytes.Equal(data, before) {
			t.Fatal("the data was changed")
		}
		typ, payload, ok := reference(data)
		if ok != (err == nil) {
			t.Fatalf("%q: %v, want %v", data, err, ok)
		}
		if err != nil {
			if !errors.Is(err, ErrNotFrame) {
				t.Fatal(err)
			}
			return
		}
		if m.Type == Event || m.Type == Unknown {
			if string(m.Topic) != typ || !bytes.Equal(m.Payload, payload) || Reserved(typ) != (m.Type == Unknown) {
				t.Fatalf("%q: %q %q, want %q %q", data, m.Topic, m.Payload, typ, payload)
			}
		} else if m.Type.String() != typ {
			t.Fatalf("%q: %v, want %q", data, m.Type, typ)
		}
		if m.Err == nil {
			roundTrip(t, &m)
		}
	})
}
