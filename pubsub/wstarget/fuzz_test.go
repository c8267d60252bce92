package wstarget

import (
	"testing"

	"github.com/alkdev/hubspoke/pubsub"
)

var controlTypes = []string{TypeSubscribe, TypeSubscribed, TypeUnsubscribe, TypeDenied, TypeGap, "__other"}

// FuzzControl: whatever the other side says, nothing breaks, and what is malformed is reported.
func FuzzControl(f *testing.F) {
	for i, s := range []string{`{"topic":"a"}`, `{"topic":"a","topic":"b"}`, `{"TOPIC":"a"}`, `{"action":"subscribe","topic":"a","code":"X","message":""}`,
		`{"topic":"a","dropped":1e30}`, `{"topic":"a","dropped":-1}`, `null`, `[]`, ``, `{"topic":5}`, `{"topic":"\u0000"}`} {
		f.Add(byte(i), []byte(s))
	}
	f.Fuzz(func(t *testing.T, kind byte, payload []byte) {
		typ := controlTypes[int(kind)%len(controlTypes)]
		target := New(&sent{})
		if target.Control(typ, payload) && (typ == "__other" || len(payload) == 0) {
			t.Error("the target knew it")
		}
		target.Event(string(payload), payload)
		out := &outlet{}
		fan := &fanout{}
		e := NewEndpoint(EndpointOptions{Fanout: fan, Outlet: out, Publish: func(pubsub.Event) *Denial { return nil }})
		known := e.Control(typ, payload)
		if known && typ != TypeSubscribe && typ != TypeUnsubscribe || known && len(payload) == 0 {
			t.Error("the endpoint knew it")
		}
		e.Published(string(payload), payload)
		e.wg.Wait()
		if known && typ == TypeSubscribe && len(out.frames) != 1 {
			t.Errorf("a subscription was answered with %q", out.frames)
		}
		e.Close()
		if e.Topics() != 0 {
			t.Error("closed with topics")
		}
	})
}

func FuzzDenial(f *testing.F) {
	f.Add("subscribe", "a", "X", "m")
	f.Fuzz(func(t *testing.T, action, topic, code, message string) {
		d := &Denial{action, topic, code, message}
		got, err := parseDenial(d.payload())
		if err != nil {
			t.Fatalf("%v\n%s", err, d.payload())
		}
		again, err := parseDenial(got.payload())
		if err != nil || *again != *got {
			t.Errorf("%+v became %+v, %v", got, again, err)
		}
		_ = d.Error()
	})
}
