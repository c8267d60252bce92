package wstarget_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/internal/peer"
	"github.com/alkdev/hubspoke/internal/session"
	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/pubsub/wstarget"
)

// FuzzControl: whatever the other side sends about topics, in whatever order, neither end fails, each takes only what is
// for it, and nothing is left when the session has ended. There is no connection: what is sent stays in the queue.
func FuzzControl(f *testing.F) {
	for i, s := range []string{`{"topic":"a"}`, `{"topic":"a","topic":"b"}`, `{"TOPIC":"a"}`, `{"action":"subscribe","topic":"a","code":"X","message":""}`,
		`{"topic":"a","dropped":1e30}`, `{"topic":"a","dropped":-1}`, `null`, `[]`, `{"topic":5}`, `{"topic":"\u0000"}`} {
		f.Add(byte(i), []byte(s), byte(i/2), []byte(`{"action":"subscribe","topic":"a","code":"X","message":""}`))
	}
	f.Fuzz(func(t *testing.T, kind1 byte, payload1 []byte, kind2 byte, payload2 []byte) {
		m1, m2 := control(kind1, payload1), control(kind2, payload2)
		if m1 == nil || m2 == nil {
			return
		}
		bubble.Test(t, func(t *testing.T) {
			spoke, _ := offline(&end{target: &wstarget.Target{}})
			ctx, cancel := context.WithCancel(t.Context())
			go func() { _, _ = spoke.target.Listen(ctx, "a", func(pubsub.Event) {}) }()
			synctest.Wait()
			spoke.target.Attach(spoke.peer)
			core, fan := newHub()
			hub, queue := offline(&end{})
			hub.endpoint = fan.NewEndpoint(hub.peer, 0)
			for _, m := range []*wire.Message{m1, m2} {
				if known := spoke.Control(m); known != (m.Type == wire.Subscribed || m.Type == wire.Denied || m.Type == wire.Gap) {
					t.Errorf("the target and %s: %v", m.Type, known)
				}
				synctest.Wait()
				spoke.target.Event(string(m.Topic), m.Topic)
				before := queue.QueuedBytes()
				if known := hub.Control(m); known != (m.Type == wire.Subscribe || m.Type == wire.Unsubscribe) {
					t.Errorf("the endpoint and %s: %v", m.Type, known)
				}
				synctest.Wait()
				if answered := queue.QueuedBytes() > before; answered != (m.Type == wire.Subscribe) {
					t.Errorf("%s was answered: %v", m.Type, answered)
				}
			}
			cancel()
			hub.endpoint.Close()
			if len(hub.endpoint.Topics()) != 0 || fan.Topics() != 0 || core.listening.Load() != 0 {
				t.Error("the session has ended, and topics are left")
			}
		})
	})
}

// offline makes a session that has no connection.
func offline(e *end) (*end, *session.Session) {
	sess := session.New(session.Options{})
	e.peer = peer.New(context.Background(), peer.Config{Session: sess, Side: e, IDPrefix: "t-"})
	return e, sess
}

// control returns a control frame of events as it arrives, nil if the payload is not one.
func control(kind byte, payload []byte) *wire.Message {
	typ := wire.Subscribe + wire.Type(kind)%(wire.Gap-wire.Subscribe+1)
	var m wire.Message
	frame := append(append([]byte(`{"type":"`+typ.String()+`","payload":`), payload...), '}')
	if wire.Parse(frame, &m) != nil || m.Err != nil {
		return nil
	}
	return &m
}
