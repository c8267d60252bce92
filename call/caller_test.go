package call_test

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/wire"
)

// fakeCaller answers with what it is told and keeps the last request.
type fakeCaller struct {
	answers []string
	err     error
	req     *call.Request
	given   int
}

func envelope(output string) (e call.Envelope) {
	_ = e.UnmarshalJSON([]byte(output)) // never fails
	return e
}

func (f *fakeCaller) Call(_ context.Context, req *call.Request) (call.Envelope, error) {
	f.req = req
	if f.err != nil {
		return call.Envelope{}, f.err
	}
	return envelope(f.answers[0]), nil
}

func (f *fakeCaller) Stream(_ context.Context, req *call.Request) iter.Seq2[call.Envelope, error] {
	return func(yield func(call.Envelope, error) bool) {
		f.req = req
		for _, a := range f.answers {
			f.given++
			if !yield(envelope(a), nil) {
				return
			}
		}
		if f.err != nil {
			yield(call.Envelope{}, f.err)
		}
	}
}

func TestInvoke(t *testing.T) {
	ctx := t.Context()
	f := &fakeCaller{answers: []string{`{"data":{"text":"x"},"meta":{"source":"http","status":200}}`}}
	id := &call.Identity{ID: "i"}
	d, err := call.Invoke[doc](ctx, f, "a.b", doc{"in"}, call.To("w"), call.Timeout(time.Second), call.Metadata([]byte(`{"m":1}`)),
		call.Select(map[string]string{"k": "v"}), call.IdleTimeout(2), call.Credit(3), call.WaitForSpoke(), call.Idempotent(), call.As(id))
	if err != nil || d.Text != "x" {
		t.Errorf("%+v, %v", d, err)
	}
	r := f.req
	if r.Operation != "a.b" || string(r.Input) != `{"text":"in"}` || r.To != "w" || r.Timeout != time.Second || string(r.Metadata) != `{"m":1}` ||
		r.Selector["k"] != "v" || r.IdleTimeout != 2 || r.Credit != 3 || !r.WaitForSpoke || !r.Idempotent || r.Identity != id {
		t.Errorf("%+v", r)
	}
	if raw, err := call.Invoke[json.RawMessage](ctx, f, "a.b", nil); err != nil || string(raw) != `{"text":"x"}` || f.req.Input != nil {
		t.Errorf("%s, %v", raw, err)
	}
	if e, err := call.Invoke[call.Envelope](ctx, f, "a.b", json.RawMessage(`[ 1 ]`)); err != nil || e.Source() != "http" || string(f.req.Input) != `[ 1 ]` {
		t.Errorf("%+v, %v", e, err)
	}
	_, err = call.Invoke[int](ctx, f, "a.b", nil)
	if e, _ := errors.AsType[*call.Error](err); e == nil || e.Code != call.CodeDecode || !e.Sent || e.Retryable {
		t.Errorf("an answer that does not fit: %v", err)
	}
	f.req = nil
	for _, in := range []any{make(chan int), map[string]any{"a": json.RawMessage(`{`)}} {
		_, err := call.Invoke[int](ctx, f, "a.b", in)
		if e, _ := errors.AsType[*call.Error](err); e == nil || e.Code != call.CodeValidation || e.Sent || f.req != nil {
			t.Errorf("an input that cannot be marshalled: %v", err)
		}
	}
	f.err = call.Errorf("OWN", "m")
	if _, err := call.Invoke[int](ctx, f, "a.b", nil); !errors.Is(err, call.Code("OWN")) {
		t.Errorf("%v", err)
	}
}

func TestStream(t *testing.T) {
	ctx := t.Context()
	f := &fakeCaller{answers: []string{"1", "2", `"three"`, "4"}}
	s := call.Stream[int](ctx, f, "a.b", 5)
	if f.req != nil {
		t.Error("asked before it is ranged over")
	}
	var got []int
	var last error
	for n, err := range s {
		got, last = append(got, n), err
	}
	if len(got) != 3 || got[1] != 2 || !errors.Is(last, call.CodeDecode) || f.given != 3 {
		t.Errorf("%v, %v, %d given", got, last, f.given)
	}
	for range call.Stream[int](ctx, f, "a.b", nil) {
		break
	}
	f.answers, f.err = []string{"1"}, call.Errorf("OWN", "m")
	last = nil
	for _, err := range call.Stream[int](ctx, f, "a.b", nil) {
		last = err
	}
	if !errors.Is(last, call.Code("OWN")) {
		t.Errorf("%v", last)
	}
	for _, err := range call.Stream[int](ctx, f, "a.b", make(chan int)) {
		last = err
	}
	if !errors.Is(last, call.CodeValidation) {
		t.Errorf("%v", last)
	}
}

func TestGather(t *testing.T) {
	ctx := t.Context()
	f := &fakeCaller{answers: []string{
		`{"data":{"spokeId":"a","output":{"data":1,"meta":{"source":"local"}}},"meta":{"source":"local"}}`,
		`{"spokeId":"b","output":2}`, `{"spokeId":"c","output":"x"}`, `{"spokeId":"d","error":{"code":"TIMEOUT","details":{"sent":false}}}`,
	}, err: call.Errorf(call.CodeUnavailable, "m")}
	var got []call.Result[int]
	var last error
	for r, err := range call.Gather[int](ctx, f, "a.b", doc{"x"}, call.Select(map[string]string{"k": "v"}), call.Timeout(time.Second),
		call.Metadata([]byte(`{}`)), call.Credit(7), call.IdleTimeout(time.Minute), call.Idempotent(), call.FailFast()) {
		got, last = append(got, r), err
	}
	if len(got) != 5 || got[0] != (call.Result[int]{SpokeID: "a", Output: 1}) || got[1].Output != 2 || !errors.Is(last, call.CodeUnavailable) {
		t.Fatalf("%+v, %v", got, last)
	}
	if !errors.Is(got[2].Err, call.CodeDecode) || !errors.Is(got[3].Err, call.CodeTimeout) || got[4] != (call.Result[int]{}) {
		t.Errorf("%+v", got)
	}
	if e, _ := errors.AsType[*call.Error](got[3].Err); e.Sent || got[3].SpokeID != "d" {
		t.Errorf("%+v", got)
	}
	var in struct {
		OperationID string
		Input       doc
		Selector    map[string]string
		Timeout     int
	}
	must(t, json.Unmarshal(f.req.Input, &in))
	if in.OperationID != "a.b" || in.Input.Text != "x" || in.Selector["k"] != "v" || in.Timeout != 1000 {
		t.Errorf("%s", f.req.Input)
	}
	// The options for each spoke are in the input, the others are those of the gather's own stream.
	if r := f.req; r.Operation != wire.OperationGather || r.Timeout != 0 || r.Selector != nil || r.FailFast || string(r.Metadata) != "{}" ||
		r.Credit != 7 || r.IdleTimeout != time.Minute || !r.Idempotent {
		t.Errorf("%+v", r)
	}
	for name, option := range map[string]call.Option{
		"call.To": call.To("w"), "call.WaitForSpoke": call.WaitForSpoke(), "call.Timeout": call.Timeout(-1),
	} {
		f.req = nil
		for r, err := range call.Gather[int](ctx, f, "a.b", nil, option) {
			if !errors.Is(err, call.CodeValidation) || !strings.Contains(err.Error(), name) || r != (call.Result[int]{}) || f.req != nil {
				t.Errorf("%s: %+v, %v", name, r, err)
			}
		}
	}
	for range call.Gather[int](ctx, f, "a.b", nil, call.Timeout(time.Nanosecond)) {
		break
	}
	if !strings.Contains(string(f.req.Input), `"timeout":1`) || !strings.Contains(string(f.req.Input), `"input":null`) {
		t.Errorf("%s", f.req.Input)
	}
	for r, err := range call.Gather[int](ctx, f, "a.b", make(chan int)) {
		if !errors.Is(err, call.CodeValidation) || r != (call.Result[int]{}) {
			t.Errorf("%+v, %v", r, err)
		}
	}
}

// What concerns no spoke is the gather's own error, and its end.
func TestGatherEnds(t *testing.T) {
	for answer, want := range map[string]struct {
		code    call.Code
		message string
	}{
		`{"spokeId":5}`: {call.CodeDecode, "invalid result"},
		`7`:             {call.CodeDecode, "invalid result"},
		`{"incomplete":[{"hubId":"h","code":"TIMEOUT"},{"code":"UNAVAILABLE"},5]}`: {call.CodeUnavailable, "hub h: TIMEOUT; the directory: UNAVAILABLE"},
	} {
		f := &fakeCaller{answers: []string{answer, `{"spokeId":"b","output":2}`}}
		n := 0
		for r, err := range call.Gather[int](t.Context(), f, "a.b", nil) {
			n++
			if !errors.Is(err, want.code) || !strings.Contains(err.Error(), want.message) || r.Err != nil {
				t.Errorf("%s: %+v, %v", answer, r, err)
			}
		}
		if n != 1 {
			t.Errorf("%s: %d elements", answer, n)
		}
	}
}

func TestRequestInContext(t *testing.T) {
	if call.FromContext(t.Context()) != nil || call.IdentityFrom(t.Context()) != nil {
		t.Error("a request outside a handler")
	}
	id := &call.Identity{ID: "i"}
	req := call.NewRequest("a.b", nil, call.As(id))
	ctx := call.NewContext(t.Context(), req)
	if call.FromContext(ctx) != req || call.IdentityFrom(ctx) != id {
		t.Error("the request is not in its context")
	}
}

func TestEnvelope(t *testing.T) {
	e := call.Envelope{Data: []byte(`[1]`), Meta: []byte(`{"source":"local","operationId":"a.\"b","timestamp":1234}`)}
	raw, err := json.Marshal(e)
	if err != nil || string(raw) != `{"data":[1],"meta":{"source":"local","operationId":"a.\"b","timestamp":1234}}` {
		t.Errorf("%s, %v", raw, err)
	}
	var back call.Envelope
	must(t, json.Unmarshal(raw, &back))
	if back.Source() != "local" || string(back.Data) != "[1]" {
		t.Errorf("%+v", back)
	}
	for _, bare := range []string{`5`, `null`, `[]`, `{}`, `{"data":1}`, `{"meta":{"source":"local"}}`, `{"data":1,"meta":{}}`,
		`{"data":1,"meta":{"source":5}}`, `{"data":1,"meta":[]}`, `{"Data":1,"meta":{"source":"local"}}`,
		`{"data":1,"data":2,"meta":{"source":"local"}}`, `{"meta":{"source":"mcp"},"data":1,"meta":{"source":"local"}}`} {
		if e := envelope(bare); string(e.Data) != bare || e.Meta != nil || e.Source() != "" {
			t.Errorf("%s is taken for an envelope: %+v", bare, e)
		}
	}
	if raw, err := json.Marshal(call.Envelope{}); err != nil || string(raw) != `{"data":null,"meta":{"source":"local"}}` {
		t.Errorf("%s", raw)
	}
}
