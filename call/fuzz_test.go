package call_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/jsonscan"
)

// FuzzParseError: no payload makes it panic, and what it reads survives a round trip.
func FuzzParseError(f *testing.F) {
	for _, s := range []string{`{"code":"A","message":"m","retryable":true,"details":{"sent":false,"x":[1,{"y":2}]}}`, `{"code":"A"`, `null`, `{"details":{"sent":true,"sent":false}}`, `{"code":"\ud800"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		e := call.ParseError(payload)
		if !e.Code.Valid() {
			t.Fatalf("code %q", e.Code)
		}
		raw, err := json.Marshal(e)
		if err != nil {
			t.Fatalf("%+v: %v", e, err)
		}
		again := call.ParseError(raw)
		if again.Code != e.Code || again.Message != e.Message || again.Sent != e.Sent || again.Retryable != e.Retryable {
			t.Errorf("%+v became %+v", e, again)
		}
	})
}

// FuzzParseEnvelope: no output makes it panic; what comes out is JSON, and survives a round trip.
func FuzzParseEnvelope(f *testing.F) {
	for _, s := range []string{`{"data":1,"meta":{"source":"local"}}`, `{"data":1,"data":2,"meta":{"source":"http","x":1}}`, `{"meta":{"source":""},"data":1}`, `{"data":null,"meta":null}`, `5`, ``, `{"data":1`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, output []byte) {
		e := call.ParseEnvelope(output)
		_ = e.Source()
		if !jsonscan.Valid(output) {
			return
		}
		raw := call.AppendEnvelope(nil, e)
		if !json.Valid(raw) {
			t.Fatalf("%s became %s", output, raw)
		}
		again := call.ParseEnvelope(raw)
		if !bytes.Equal(again.Data, bytes.TrimSpace(e.Data)) || e.Meta != nil && !bytes.Equal(again.Meta, e.Meta) || again.Source() == "" {
			t.Errorf("%s became %s", output, raw)
		}
	})
}
