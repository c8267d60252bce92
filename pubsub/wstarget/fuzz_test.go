package wstarget

import (
	"testing"

	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/pubsub"
)

// FuzzControl: whatever the other side sends, nothing breaks, and each end takes only what is for it.
func FuzzControl(f *testing.F) {
	for i, s := range []string{`{"topic":"a"}`, `{"topic":"a","topic":"b"}`, `{"TOPIC":"a"}`, `{"action":"subscribe","topic":"a","code":"X","message":""}`,
		`{"topic":"a","dropped":1e30}`, `{"topic":"a","dropped":-1}`, `null`, `[]`, `{"topic":5}`, `{"topic":"\u0000"}`} {
		f.Add(byte(i), []byte(s))
	}
	f.Fuzz(func(t *testing.T, kind byte, payload []byte) {
		typ := wire.Subscribe + wire.Type(kind)%(wire.Gap-wire.Subscribe+1)
		var m wire.Message
		if wire.Parse(append(append([]byte(`{"type":"`+typ.String()+`","payload":`), payload...), '}'), &m) != nil || m.Err != nil {
			return
		}
		target := New(&sent{})
		if known := target.Control(&m); known != (typ == wire.Subscribed || typ == wire.Denied || typ == wire.Gap) {
			t.Errorf("the target and %s: %v", typ, known)
		}
		_, _ = target.Ended(&m)
		target.Event(string(payload), payload)
		out := &outlet{}
		fan := &fanout{}
		e := NewEndpoint(EndpointOptions{Fanout: fan, Outlet: out, Publish: func(pubsub.Event) *Denial { return nil }})
		known := e.Control(&m)
		if known != (typ == wire.Subscribe || typ == wire.Unsubscribe) {
			t.Errorf("the endpoint and %s: %v", typ, known)
		}
		e.Published(string(payload), payload)
		e.wg.Wait()
		if typ == wire.Subscribe && len(out.frames) != 1 {
			t.Errorf("a subscription was answered with %q", out.frames)
		}
		e.Close()
		if e.Topics() != 0 {
			t.Error("closed with topics")
		}
	})
}
