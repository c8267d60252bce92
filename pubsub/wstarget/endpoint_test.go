package wstarget

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/pubsub/pubsubtest"
)

// outlet writes down what goes to the spoke.
type outlet struct{ sent }

func (o *outlet) Control(frame []byte)             { _ = o.sent.Control(frame) }
func (o *outlet) Event(topic string, frame []byte) { _ = o.put(topic, string(frame)) }
func (o *outlet) Gap(topic string, dropped int)    { o.Control(wire.AppendGap(nil, topic, dropped)) }

func newEndpoint(t *testing.T, o EndpointOptions) (*Endpoint, *fanout, *outlet) {
	t.Helper()
	f, out := &fanout{}, &outlet{}
	o.Fanout, o.Outlet = f, out
	if o.Publish == nil {
		o.Publish = func(pubsub.Event) *Denial { return nil }
	}
	e := NewEndpoint(o)
	t.Cleanup(e.Close)
	return e, f, out
}

func (e *Endpoint) subscribeTo(topic string) {
	e.Control(parsed(wire.AppendTopic(nil, wire.Subscribe, topic)))
	synctest.Wait()
}

func (e *Endpoint) unsubscribeFrom(topic string) {
	e.Control(parsed(wire.AppendTopic(nil, wire.Unsubscribe, topic)))
	synctest.Wait()
}

const subscribedA = "__subscribed " + topicA

func TestSubscribe(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		e, f, out := newEndpoint(t, EndpointOptions{})
		e.unsubscribeFrom("a") // of nothing
		e.subscribeTo("a")
		out.want(t, subscribedA)
		e.subscribeTo("a") // answered, and joined once
		out.want(t, subscribedA)
		if f.joins != 1 || e.Topics() != 1 || !f.live("a", e) {
			t.Errorf("%d joins, %d topics", f.joins, e.Topics())
		}
		f.publish("a", "frame")
		e.DeliverGap("a", 3)
		out.want(t, "a frame", `__gap {"topic":"a","dropped":3}`)
		e.unsubscribeFrom("a")
		e.unsubscribeFrom("a")
		f.publish("a", "frame")
		if out.want(t); e.Topics() != 0 || f.live("a", e) {
			t.Error("still a member")
		}
	})
}

// Every transition while a join is under way.
func TestWhileJoining(t *testing.T) {
	const sub, unsub = true, false
	for name, c := range map[string]struct {
		steps []bool // after the first __subscribe
		fails bool
		live  bool
		sent  []string
	}{
		"nothing":            {nil, false, true, []string{subscribedA}},
		"subscribe":          {[]bool{sub, sub}, false, true, []string{subscribedA}},
		"unsubscribe":        {[]bool{unsub, unsub}, false, false, nil},
		"wanted again":       {[]bool{unsub, sub}, false, true, []string{subscribedA}},
		"unwanted at last":   {[]bool{unsub, sub, unsub}, false, false, nil},
		"fails":              {nil, true, false, []string{`__denied {"action":"subscribe","topic":"a","code":"UNAVAILABLE","message":"` + errJoin.Error() + `"}`}},
		"fails unwanted":     {[]bool{unsub}, true, false, nil},
		"fails wanted again": {[]bool{unsub, sub}, true, false, []string{`__denied {"action":"subscribe","topic":"a","code":"UNAVAILABLE","message":"` + errJoin.Error() + `"}`}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				e, f, out := newEndpoint(t, EndpointOptions{})
				f.held = make(chan struct{})
				f.fails = func() bool { return c.fails }
				e.subscribeTo("a")
				for _, s := range c.steps {
					if s == sub {
						e.subscribeTo("a")
					} else {
						e.unsubscribeFrom("a")
					}
				}
				out.want(t)
				close(f.held)
				out.want(t, c.sent...)
				if f.live("a", e) != c.live || (e.Topics() == 1) != c.live || f.joins != 1 {
					t.Errorf("live %v, %d topics, %d joins", f.live("a", e), e.Topics(), f.joins)
				}
				f.fails = nil
				e.subscribeTo("a") // works in any case
				if !f.live("a", e) {
					t.Error("not live")
				}
			})
		})
	}
}

func TestCloseEndpoint(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		e, f, out := newEndpoint(t, EndpointOptions{})
		e.subscribeTo("a")
		out.want(t, subscribedA)
		f.held = make(chan struct{}) // never closed: the context ends the join
		e.subscribeTo("b")
		e.subscribeTo("c")
		e.unsubscribeFrom("c")
		closed := 0
		e.AfterClose(func() { closed++ })
		e.Close()
		e.Close()
		if e.Topics() != 0 || f.live("a", e) || closed != 1 {
			t.Errorf("%d topics, live %v, closed %d", e.Topics(), f.live("a", e), closed)
		}
		e.subscribeTo("d")
		e.unsubscribeFrom("a")
		e.Published("a", []byte("1"))
		if err := e.Dispatch(t.Context(), pubsub.Event{Topic: "a"}); !errors.Is(err, pubsub.ErrClosed) {
			t.Errorf("Dispatch: %v", err)
		}
		if _, err := e.Listen(t.Context(), "a", func(pubsub.Event) {}); !errors.Is(err, pubsub.ErrClosed) {
			t.Errorf("Listen: %v", err)
		}
		out.want(t)
	})
}

// A join that is done while Close runs is taken back.
func TestCloseWhileJoining(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		out := &outlet{}
		f := &deafFanout{release: make(chan struct{})}
		e := NewEndpoint(EndpointOptions{Fanout: f, Outlet: out})
		e.subscribeTo("a")
		closed := make(chan struct{})
		go func() { e.Close(); close(closed) }()
		synctest.Wait()
		select {
		case <-closed:
			t.Error("Close did not wait for the join")
		default:
		}
		close(f.release)
		<-closed
		if out.want(t); f.members != 0 || e.Topics() != 0 {
			t.Errorf("%d members", f.members)
		}
	})
}

// deafFanout joins although the context has ended.
type deafFanout struct {
	release chan struct{}
	members int
}

func (f *deafFanout) Join(context.Context, string, *Endpoint) error {
	<-f.release
	f.members++
	return nil
}
func (f *deafFanout) Leave(string, *Endpoint) { f.members-- }

func TestRefusals(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		e, f, out := newEndpoint(t, EndpointOptions{MaxTopics: 2,
			Allow: func(topic string) *Denial {
				if topic == "secret" {
					return &Denial{ActionSubscribe, topic, "ACCESS_DENIED", "no"}
				}
				return nil
			},
			Publish: func(ev pubsub.Event) *Denial {
				if ev.Topic == "secret" {
					return &Denial{ActionPublish, ev.Topic, "ACCESS_DENIED", "no"}
				}
				return nil
			}})
		e.subscribeTo("secret")
		out.want(t, `__denied {"action":"subscribe","topic":"secret","code":"ACCESS_DENIED","message":"no"}`)
		e.Published("secret", []byte("1"))
		out.want(t, `__denied {"action":"publish","topic":"secret","code":"ACCESS_DENIED","message":"no"}`)
		e.subscribeTo("a")
		e.subscribeTo("b")
		out.want(t, subscribedA, `__subscribed {"topic":"b"}`)
		e.subscribeTo("c")
		out.want(t, `__denied {"action":"subscribe","topic":"c","code":"OVERLOADED","message":"too many topics: limit 2 (hub.Options.MaxTopics)"}`)
		e.unsubscribeFrom("a")
		e.subscribeTo("c")
		out.want(t, `__subscribed {"topic":"c"}`)
		e.subscribeTo("tab\there")
		if len(out.frames) != 1 || f.joins != 3 {
			t.Errorf("sent %q, %d joins", out.frames, f.joins)
		}
	})
}

func TestEndpointAsTarget(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		e, _, out := newEndpoint(t, EndpointOptions{})
		var got []pubsub.Event
		stop, err := e.Listen(t.Context(), "a", func(ev pubsub.Event) { got = append(got, ev) })
		if err != nil {
			t.Fatal(err)
		}
		payload := []byte("1")
		e.Published("a", payload)
		payload[0] = 'X'
		e.Published("a", nil)
		stop()
		e.Published("a", nil)
		if len(got) != 2 || string(got[0].Payload) != "1" || got[1].Payload != nil {
			t.Errorf("got %+v", got)
		}
		for _, ev := range []pubsub.Event{{Topic: "a", Payload: []byte("1")}, {Topic: `"q"`}, {Topic: "a", Gap: true, Dropped: 2}} {
			if err := e.Dispatch(t.Context(), ev); err != nil {
				t.Error(err)
			}
		}
		out.want(t, `a {"type":"a","payload":1}`, `"q" {"type":"\"q\"","payload":null}`, `__gap {"topic":"a","dropped":2}`)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		for _, err := range []error{e.Dispatch(ended, pubsub.Event{Topic: "a"}), e.Dispatch(t.Context(), pubsub.Event{}), e.Dispatch(t.Context(), pubsub.Event{Topic: "a", Payload: []byte("{")})} {
			if err == nil {
				t.Error("dispatched")
			}
		}
		out.want(t)
	})
}

// Both ends together pass the suite of event targets.
func TestContract(t *testing.T) {
	pubsubtest.TestTarget(t, func(t *testing.T) (publisher, subscriber pubsub.EventTarget) {
		p := newPair(t, nil, false)
		return p.target, settled{p.target, p}
	})
}

// settled lets what is on its way arrive before a new listener is there. The suite's model expects that a
// listener hears nothing from before it; the contract leaves it open.
type settled struct {
	*Target
	p *pair
}

func (s settled) Listen(ctx context.Context, topic string, fn func(pubsub.Event)) (stop func(), err error) {
	arrived := make(chan struct{})
	s.p.up.put(func() { s.p.down.put(func() { close(arrived) }) })
	<-arrived
	return s.Target.Listen(ctx, topic, fn)
}
