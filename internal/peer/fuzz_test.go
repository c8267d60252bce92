package peer

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/jsonscan"
	"github.com/alkdev/hubspoke/transport"
)

var fuzzNow = time.UnixMilli(1_700_000_000_000)

// trimmed is a payload as a frame would hand it on.
func trimmed(payload []byte) ([]byte, bool) {
	f, err := transport.ParseFrame(transport.AppendFrame(nil, "t", payload))
	return f.Payload, err == nil
}

func FuzzRequest(f *testing.F) {
	for _, s := range []string{
		`{"requestId":"1","operationId":"a.b","stream":true,"credit":3,"input":{"x":[1,2]},"to":"w","selector":{"a":"b"},"timeout":100,"idleTimeout":5,"originId":"o","parentRequestId":"p","identity":{"id":"i","scopes":["s"],"resources":{"r":["a"]}},"metadata":{"traceparent":"00"}}`,
		`{"requestId":"\u0041\ud800","operationId":"a.b","deadline":9223372036854775807,"input":null}`,
		`{"requestId":"1","requestId":"2"}`, `{"REQUESTID":"1"}`, `{"requestId":"1","operationId":"a.b","timeout":-1e3,"deadline":1.5}`, ` {"requestId" : "1" , "x" : {} } `, `[]`, `null`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		payload, ok := trimmed(payload)
		if !ok {
			return
		}
		before := bytes.Clone(payload)
		w, err := parseRequest(payload, fuzzNow, &identityMemo{})
		if !bytes.Equal(payload, before) {
			t.Fatal("the payload was changed")
		}
		if err != nil {
			return
		}
		if w.req.ID == "" || len(w.req.ID) > maxIDBytes || w.req.Operation == "" || w.credit < 0 || w.req.Timeout < 0 || w.req.IdleTimeout < 0 {
			t.Fatalf("accepted: %+v", w)
		}
		credit := -1
		if w.metered {
			credit = w.credit
		}
		frame, err := transport.ParseFrame(appendRequest(nil, w.req.ID, w.req, w.req.Timeout, credit))
		if err != nil {
			t.Fatalf("what was accepted makes no frame: %v", err)
		}
		again, err := parseRequest(frame.Payload, fuzzNow, &identityMemo{})
		if err != nil {
			t.Fatalf("what was accepted is refused: %v\n%s", err, frame.Payload)
		}
		if d := again.req.Timeout - w.req.Timeout; d < 0 || d >= time.Millisecond {
			t.Errorf("timeout %v became %v", w.req.Timeout, again.req.Timeout)
		}
		again.req.Timeout = w.req.Timeout
		if again.metered != w.metered || again.credit != w.credit || !sameRequest(w.req, again.req) {
			t.Errorf("\n%+v\nbecame\n%+v", w.req, again.req)
		}
	})
}

// sameRequest takes an empty list or map for none, as the wire does.
func sameRequest(a, b *call.Request) bool {
	x, y := *a, *b
	for _, r := range []*call.Request{&x, &y} {
		if len(r.Selector) == 0 {
			r.Selector = nil
		}
		if r.Identity != nil {
			i := call.Identity{ID: r.Identity.ID}
			if len(r.Identity.Scopes) > 0 {
				i.Scopes = r.Identity.Scopes
			}
			if len(r.Identity.Resources) > 0 {
				i.Resources = maps.Clone(r.Identity.Resources)
				for k, v := range i.Resources {
					i.Resources[k] = append([]string{}, v...)
				}
			}
			r.Identity = &i
		}
	}
	return reflect.DeepEqual(x, y)
}

func FuzzAnswer(f *testing.F) {
	types := []string{call.EventResponded, call.EventCompleted, call.EventError, call.EventAborted, call.EventCredit}
	for i, s := range []string{`{"requestId":"1","output":{"data":1}}`, `{"requestId":"\u0031"}`,
		`{"requestId":"1","code":"A","message":"m","retryable":true,"details":{"sent":false}}`, `{"requestId":"1","reason":"r"}`, `{"requestId":"1","credit":5}`} {
		f.Add(byte(i), []byte(s))
	}
	f.Fuzz(func(t *testing.T, kind byte, payload []byte) {
		typ := types[int(kind)%len(types)]
		payload, ok := trimmed(payload)
		if !ok {
			return
		}
		a, err := parseAnswer(typ, payload)
		if err != nil {
			return
		}
		var out []byte
		switch typ {
		case call.EventResponded:
			out = appendResponded(nil, string(a.id), a.output)
		case call.EventCompleted:
			out = appendCompleted(nil, string(a.id))
		case call.EventError:
			out = appendError(nil, string(a.id), call.ParseError(a.payload))
		case call.EventAborted:
			out = appendAborted(nil, string(a.id), a.reason)
		case call.EventCredit:
			out = appendCredit(nil, string(a.id), a.credit)
		}
		frame, err := transport.ParseFrame(out)
		if err != nil || frame.Type != typ {
			t.Fatalf("what was accepted makes no frame: %v\n%s", err, out)
		}
		b, err := parseAnswer(typ, frame.Payload)
		sameOutput := bytes.Equal(a.output, b.output) || a.output == nil && string(b.output) == "null"
		if err != nil || !bytes.Equal(a.id, b.id) || a.credit != b.credit || jsonscan.Cut(a.reason, reasonBytes) != b.reason || typ == call.EventResponded && !sameOutput {
			t.Errorf("%s\nbecame\n%s", payload, out)
		}
		if typ == call.EventError {
			x, y := call.ParseError(a.payload), call.ParseError(b.payload)
			if x.Code != y.Code || x.Message != y.Message || x.Sent != y.Sent || x.Retryable != y.Retryable {
				t.Errorf("%+v became %+v", x, y)
			}
		}
	})
}

func FuzzRegistration(f *testing.F) {
	for _, s := range []string{`{}`, ``, `null`, `[]`, `{"spokeId":"w","instanceId":"i","attempt":0,"labels":{"a":"b"},"maxInFlight":5,"maxMessageBytes":9,
		"operations":[{"name":"a.b","type":"query","inputSchema":{"a":[1]},"outputSchema":null,"errorCodes":["A_B"],"accessControl":{"requiredScopes":["s"],"resourceType":"t","resourceAction":"a"}}],"session":{"id":"x","received":1}}`,
		`{"operations":[{"name":"a.b"},{"name":"a.b"}]}`, `{"SPOKEID":"x","attempt":-1}`, `{"maxInFlight":-1}`, `{"spokeId":"\u0000"}`, `{"operations":{}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		if len(input) > 0 && !jsonscan.Valid(input) {
			return
		}
		r, err := ParseRegistration(input)
		if err != nil {
			return
		}
		out, err := json.Marshal(r)
		if err != nil {
			t.Fatalf("what was accepted cannot be marshalled: %v", err)
		}
		again, err := ParseRegistration(out)
		if err != nil {
			t.Fatalf("what was accepted is refused: %v\n%s", err, out)
		}
		x, _ := json.Marshal(r)
		y, _ := json.Marshal(again)
		if !bytes.Equal(x, y) || len(r.Operations) != len(again.Operations) {
			t.Errorf("%s\nbecame\n%s", x, y)
		}
		if !slices.EqualFunc(r.Operations, again.Operations, func(a, b call.Operation) bool { return a.Name == b.Name && a.Type == b.Type }) {
			t.Error("other operations")
		}
	})
}
