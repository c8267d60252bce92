package wstarget_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/internal/session"
	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/pubsub/wstarget"
	"github.com/alkdev/hubspoke/transport"
)

// denied is a __denied of a subscription.
func denied(topic, code, message string) string {
	return fmt.Sprintf(`__denied {"action":"subscribe","topic":%q,"code":%q,"message":%q}`, topic, code, message)
}

func TestSubscribe(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		core, f := newHub()
		e, spoke := rawSpoke(t, f, 0)
		spoke.send(t, unsubA) // of nothing
		spoke.send(t, subA)
		spoke.want(t, subscribedA)
		spoke.send(t, subA) // answered, and joined once
		spoke.want(t, subscribedA)
		if n := core.listens.Load(); n != 1 || f.Topics() != 1 || !slices.Equal(e.endpoint.Topics(), []string{"a"}) {
			t.Errorf("%d joins, %d topics, %v", n, f.Topics(), e.endpoint.Topics())
		}
		publish(t, core, "a", "1")
		publish(t, core, "b", "2")
		_ = core.Deliver(pubsub.Event{Topic: "a", Gap: true, Dropped: 3})
		spoke.want(t, "a 1", `__gap {"topic":"a","dropped":3}`)
		spoke.send(t, unsubA, unsubA)
		publish(t, core, "a", "3")
		spoke.want(t)
		if len(e.endpoint.Topics()) != 0 || f.Topics() != 0 || core.listening.Load() != 0 {
			t.Error("still a member")
		}
	})
}

// Every transition while a join is in progress.
func TestWhileJoining(t *testing.T) {
	const failed = `__denied {"action":"subscribe","topic":"a","code":"UNAVAILABLE","message":"on purpose"}`
	for name, c := range map[string]struct {
		steps []string // after the first __subscribe
		fails bool
		live  bool
		sent  []string
	}{
		"nothing":            {nil, false, true, []string{subscribedA}},
		"subscribe":          {[]string{subA, subA}, false, true, []string{subscribedA}},
		"unsubscribe":        {[]string{unsubA, unsubA}, false, false, nil},
		"wanted again":       {[]string{unsubA, subA}, false, true, []string{subscribedA}},
		"unwanted at last":   {[]string{unsubA, subA, unsubA}, false, false, nil},
		"fails":              {nil, true, false, []string{failed}},
		"fails unwanted":     {[]string{unsubA}, true, false, nil},
		"fails wanted again": {[]string{unsubA, subA}, true, false, []string{failed}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				core, f := newHub()
				core.held = make(chan struct{})
				core.fails = func() bool { return c.fails }
				e, spoke := rawSpoke(t, f, 0)
				spoke.send(t, subA)
				spoke.send(t, c.steps...)
				spoke.want(t)
				if n := len(e.endpoint.Topics()); n != 1 {
					t.Errorf("%d topics while joining", n)
				}
				close(core.held)
				spoke.want(t, c.sent...)
				members := 0
				if c.live {
					members = 1
				}
				if core.listening.Load() != int64(members) || len(e.endpoint.Topics()) != members || f.Topics() != members || core.listens.Load() != 1 {
					t.Errorf("%d listeners, topics %v, %d joins", core.listening.Load(), e.endpoint.Topics(), core.listens.Load())
				}
				core.fails = nil
				spoke.send(t, subA) // works in any case
				publish(t, core, "a", "1")
				spoke.want(t, subscribedA, "a 1")
			})
		})
	}
}

func TestCloseEndpoint(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		core, f := newHub()
		e, spoke := rawSpoke(t, f, 0)
		spoke.send(t, subA)
		spoke.want(t, subscribedA)
		e.endpoint.Close()
		e.endpoint.Close()
		if len(e.endpoint.Topics()) != 0 || core.listening.Load() != 0 {
			t.Errorf("topics %v, %d listeners", e.endpoint.Topics(), core.listening.Load())
		}
		spoke.send(t, `__subscribe {"topic":"d"}`, unsubA)
		e.endpoint.EndSubscriptions("ended")
		spoke.send(t, subA)
		publish(t, core, "a", "1")
		spoke.want(t)
		if n := core.listens.Load(); n != 1 {
			t.Errorf("%d joins", n)
		}
	})
}

// Close does not wait for the core. The others that wait for it are answered, and the last of them makes the core stop.
func TestCloseWhileJoining(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		core, f := newHub()
		core.held = make(chan struct{})
		first, spoke1 := rawSpoke(t, f, 0)
		second, spoke2 := rawSpoke(t, f, 0)
		third, spoke3 := rawSpoke(t, f, 0)
		spoke1.send(t, subA)
		spoke2.send(t, subA)
		spoke3.send(t, subA)
		second.endpoint.Close()
		first.endpoint.Close()
		if len(second.endpoint.Topics())+len(first.endpoint.Topics()) != 0 {
			t.Error("closed with topics")
		}
		close(core.held)
		spoke1.want(t)
		spoke2.want(t)
		spoke3.want(t, subscribedA)
		publish(t, core, "a", "1")
		spoke1.want(t)
		spoke2.want(t)
		spoke3.want(t, "a 1")
		if core.listening.Load() != 1 || core.listens.Load() != 1 {
			t.Errorf("%d listeners, %d joins", core.listening.Load(), core.listens.Load())
		}
		third.endpoint.Close()
		if core.listening.Load() != 0 || f.Topics() != 0 {
			t.Errorf("%d listeners, %d topics", core.listening.Load(), f.Topics())
		}
	})
}

// If all have left that wait for the core, nothing remains, whether the core takes note of its context or not. A spoke that
// comes then is not answered by what the core answers to the earlier ones.
func TestCloseWhileJoiningAlone(t *testing.T) {
	for name, deaf := range map[string]bool{"the core waits for its context": false, "the core does not": true} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				core, f := newHub()
				core.held, core.deaf = make(chan struct{}), deaf
				ends := make([]*end, 2)
				for i := range ends {
					var spoke *raw
					ends[i], spoke = rawSpoke(t, f, 0)
					spoke.send(t, subA)
				}
				ends[0].endpoint.Close()
				synctest.Wait()
				if core.calls.Load() != 1 || core.canceled.Load() != 0 {
					t.Errorf("%d calls of Listen, %d canceled while one still waits", core.calls.Load(), core.canceled.Load())
				}
				ends[1].endpoint.Close()
				if f.Topics() != 0 {
					t.Error("a topic is left")
				}
				_, late := rawSpoke(t, f, 0)
				late.send(t, subA)
				late.want(t)
				if n := core.canceled.Load(); !deaf && n != 1 {
					t.Errorf("%d calls of Listen were canceled", n)
				}
				close(core.held)
				late.want(t, subscribedA)
				publish(t, core, "a", "1")
				late.want(t, "a 1")
				if core.calls.Load() != 2 || core.listening.Load() != 1 || f.Topics() != 1 {
					t.Errorf("%d calls, %d listeners, %d topics", core.calls.Load(), core.listening.Load(), f.Topics())
				}
			})
		})
	}
}

func TestRefusals(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		core, f := newHub()
		e, spoke := rawSpoke(t, f, 2)
		spoke.send(t, subA)
		spoke.send(t, `__subscribe {"topic":"b"}`)
		spoke.want(t, subscribedA, `__subscribed {"topic":"b"}`)
		spoke.send(t, `__subscribe {"topic":"c"}`)
		spoke.want(t, denied("c", "OVERLOADED", "too many topics: limit 2 (hub.Options.MaxTopics)"))
		spoke.send(t, subA) // is no further topic
		spoke.want(t, subscribedA)
		spoke.send(t, unsubA, `__subscribe {"topic":"c"}`)
		spoke.want(t, `__subscribed {"topic":"c"}`)
		e.endpoint.DenyPublish("d", &call.Error{Code: "X", Message: "m"})
		spoke.want(t, `__denied {"action":"publish","topic":"d","code":"X","message":"m"}`)
		if n := core.listens.Load(); n != 3 {
			t.Errorf("%d joins", n)
		}
	})
}

// The smallest limit is one topic.
func TestOneTopic(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		_, f := newHub()
		_, spoke := rawSpoke(t, f, 1)
		spoke.send(t, subA, `__subscribe {"topic":"b"}`)
		spoke.want(t, denied("b", "OVERLOADED", "too many topics: limit 1 (hub.Options.MaxTopics)"), subscribedA)
	})
}

// The default limit is 10,000 topics.
func TestDefaultMaxTopics(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		_, f := newHub()
		e, spoke := rawSpoke(t, f, -1)
		for n := range wstarget.DefaultMaxTopics + 1 {
			e.endpoint.Subscribe(fmt.Sprint("t", n), nil)
		}
		synctest.Wait()
		if n := len(e.endpoint.Topics()); n != 10_000 || f.Topics() != n {
			t.Errorf("%d topics", n)
		}
		spoke.mu.Lock()
		defer spoke.mu.Unlock()
		if text := strings.Join(spoke.frames, "\n"); strings.Count(text, "__subscribed ") != 10_000 || strings.Count(text, "limit 10000 ") != 1 {
			t.Errorf("%d answers", len(spoke.frames))
		}
	})
}

// EndSubscriptions denies what is live, what is joining, and what comes later; once.
func TestEndSubscriptions(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		core, f := newHub()
		e, spoke := rawSpoke(t, f, 0)
		spoke.send(t, subA)
		spoke.want(t, subscribedA)
		core.held = make(chan struct{})
		spoke.send(t, `__subscribe {"topic":"b"}`, `__subscribe {"topic":"c"}`, `__unsubscribe {"topic":"c"}`)
		e.endpoint.EndSubscriptions("replaced")
		e.endpoint.EndSubscriptions("once more")
		spoke.wantAnyOrder(t, denied("a", "UNAVAILABLE", "replaced"), denied("b", "UNAVAILABLE", "replaced"))
		close(core.held)
		spoke.want(t)
		spoke.send(t, subA, unsubA)
		spoke.want(t, denied("a", "UNAVAILABLE", "replaced"))
		publish(t, core, "a", "1")
		spoke.want(t)
		if core.listening.Load() != 0 || f.Topics() != 0 || len(e.endpoint.Topics()) != 0 {
			t.Errorf("%d listeners, %d topics", core.listening.Load(), f.Topics())
		}
	})
}

// A subscriber receives only the events that are visible to it, and every gap.
func TestVisible(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		core, f := newHub()
		some, spoke1 := rawSpoke(t, f, 0)
		_, spoke2 := rawSpoke(t, f, 0)
		some.endpoint.Subscribe("a", func(ev pubsub.Event) bool { return ev.Topic == "a" && string(ev.Payload) == "2" })
		spoke2.send(t, subA)
		for _, payload := range []string{"1", "2", "3"} {
			publish(t, core, "a", payload)
		}
		_ = core.Deliver(pubsub.Event{Topic: "a", Payload: []byte("{")}) // not JSON: not visible either
		synctest.Wait()
		_ = core.Deliver(pubsub.Event{Topic: "a", Gap: true})
		spoke1.want(t, subscribedA, "a 2", `__gap {"topic":"a","dropped":0}`)
		spoke2.want(t, subscribedA, "a 1", "a 2", "a 3", `__gap {"topic":"a","dropped":1}`, `__gap {"topic":"a","dropped":0}`)
	})
}

// What a spoke does not accept, or what is not JSON, is a gap of one to it; other spokes are not concerned.
func TestEventsThatAreNotAccepted(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		core, f := newHub()
		small, spoke1 := rawSpoke(t, f, 0)
		flat, spoke2 := rawSpoke(t, f, 0)
		_, spoke3 := rawSpoke(t, f, 0)
		small.peer.SetRemote(30, 0)
		flat.peer.SetMaxDepth(1)
		for _, s := range []*raw{spoke1, spoke2, spoke3} {
			s.send(t, subA)
			s.want(t, subscribedA)
		}
		const gap1 = `__gap {"topic":"a","dropped":1}`
		for _, c := range []struct{ payload, small, flat, any string }{
			{`1234567`, "a 1234567", "a 1234567", "a 1234567"},
			{`12345678`, gap1, "a 12345678", "a 12345678"},
			{`[1]`, "a [1]", "a [1]", "a [1]"},
			{`[[]]`, "a [[]]", gap1, "a [[]]"},
			{`"[["`, `a "[["`, `a "[["`, `a "[["`}, // long enough to be nested too deep
			{`{`, gap1, gap1, gap1},
			{``, "a null", "a null", "a null"},
		} {
			_ = core.Deliver(pubsub.Event{Topic: "a", Payload: []byte(c.payload)})
			spoke1.want(t, c.small)
			spoke2.want(t, c.flat)
			spoke3.want(t, c.any)
		}
		if n := core.malformed.Load(); n != 1 {
			t.Errorf("%d malformed", n)
		}
	})
}

// A Local has checked its payloads: they are not checked again for each event.
func TestLocalCoreIsTrusted(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var core pubsub.Local
		var malformed atomic.Uint64
		_, spoke := rawSpoke(t, wstarget.NewFanout(&core, &nop, &malformed), 0)
		spoke.send(t, subA)
		_ = core.Deliver(pubsub.Event{Topic: "a", Payload: []byte("{")})
		spoke.want(t, subscribedA, "a {")
		if malformed.Load() != 0 {
			t.Error("counted as malformed")
		}
	})
}

// A spoke that does not read loses events within its budget for them, and each loss is reported in its place; others
// receive everything.
func TestSlowSpoke(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		core, f := newHub()
		a, b := transport.Pipe(&transport.PipeOptions{BufferBytes: 100})
		slow := connectEndpoint(f, nil, a, session.Options{EventBytes: 1000}, 0)
		_, fast := rawSpoke(t, f, 0)
		slow.endpoint.Subscribe("a", nil)
		fast.send(t, subA)
		want := []string{subscribedA}
		for n := range 200 {
			publish(t, core, "a", fmt.Sprintf("%03d0", n+100))
			want = append(want, fmt.Sprintf("a %03d0", n+100))
		}
		fast.want(t, want...)
		if n := slow.peer.Session().QueuedBytes(); n > 3000 {
			t.Errorf("%d bytes wait for a spoke that does not read", n)
		}
		r := newRaw(b)
		synctest.Wait()
		publish(t, core, "a", "9999")
		synctest.Wait()
		r.mu.Lock()
		events, gaps := 0, 0
		for _, frame := range r.frames {
			var dropped int
			if _, err := fmt.Sscanf(frame, `__gap {"topic":"a","dropped":%d}`, &dropped); err == nil {
				gaps += dropped
			} else if strings.HasPrefix(frame, "a ") {
				events++
			}
		}
		if events+gaps != 201 || gaps == 0 || r.frames[len(r.frames)-1] != "a 9999" {
			t.Errorf("%d events and %d lost of 201, the last frame is %s", events, gaps, r.frames[len(r.frames)-1])
		}
		r.mu.Unlock()
		slow.close()
		b.Abort()
		<-r.done
	})
}

// The members of a topic share one listener on the core: the first makes it, the last stops it. A core that fails is
// asked again for the next subscription.
func TestMembersShareAListener(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		core, f := newHub()
		core.held = make(chan struct{})
		var spokes []*raw
		for range 5 {
			_, spoke := rawSpoke(t, f, 0)
			spoke.send(t, subA)
			spokes = append(spokes, spoke)
		}
		core.fails = func() bool { return true }
		close(core.held)
		for _, s := range spokes {
			s.want(t, denied("a", "UNAVAILABLE", "on purpose"))
		}
		if f.Topics() != 0 || core.listens.Load() != 1 {
			t.Errorf("%d topics, %d joins", f.Topics(), core.listens.Load())
		}
		core.fails = nil
		for _, s := range spokes {
			s.send(t, subA)
			s.want(t, subscribedA)
		}
		for i, s := range spokes {
			publish(t, core, "a", fmt.Sprint(i))
			for j, other := range spokes {
				if j < i {
					other.want(t)
				} else {
					other.want(t, fmt.Sprint("a ", i))
				}
			}
			if core.listening.Load() != 1 || f.Topics() != 1 || core.listens.Load() != 2 {
				t.Errorf("%d listeners, %d topics, %d joins", core.listening.Load(), f.Topics(), core.listens.Load())
			}
			s.send(t, unsubA)
		}
		if core.listening.Load() != 0 || f.Topics() != 0 {
			t.Errorf("%d listeners, %d topics", core.listening.Load(), f.Topics())
		}
	})
}

// The core may end a subscription, also before its Listen has returned: that is denied to all members, and the next
// subscription asks the core again.
func TestCoreEndsASubscription(t *testing.T) {
	for _, early := range []bool{false, true} {
		t.Run(fmt.Sprint("before Listen has returned: ", early), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				core, f := newHub()
				core.ends = early
				_, spoke1 := rawSpoke(t, f, 0)
				_, spoke2 := rawSpoke(t, f, 0)
				for _, spoke := range []*raw{spoke1, spoke2} {
					spoke.send(t, subA)
					if !early {
						spoke.want(t, subscribedA)
					}
				}
				core.End("a", errTest)()
				spoke1.want(t, denied("a", "UNAVAILABLE", "on purpose"))
				spoke2.want(t, denied("a", "UNAVAILABLE", "on purpose"))
				if f.Topics() != 0 {
					t.Errorf("%d topics", f.Topics())
				}
				core.ends = false
				spoke1.send(t, unsubA, subA)
				publish(t, core, "a", "1")
				spoke1.want(t, subscribedA, "a 1")
				spoke2.want(t)
				if f.Topics() != 1 {
					t.Errorf("%d topics", f.Topics())
				}
			})
		})
	}
}

// The core's code runs without a lock of the endpoint: it may use the endpoint itself.
func TestCoreUsesTheEndpoint(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var e *end
		core := &callingCore{call: func() { e.endpoint.Topics(); e.endpoint.Unsubscribe("b") }}
		var malformed atomic.Uint64
		f := wstarget.NewFanout(core, &nop, &malformed)
		var spoke *raw
		e, spoke = rawSpoke(t, f, 0)
		spoke.send(t, subA)
		spoke.send(t, unsubA)
		spoke.send(t, subA)
		e.endpoint.EndSubscriptions("ended")
		spoke.want(t, subscribedA, subscribedA, denied("a", "UNAVAILABLE", "ended"))
		e, spoke = rawSpoke(t, f, 0)
		spoke.send(t, subA)
		e.endpoint.Close()
		if n := core.stops.Load(); n != 3 {
			t.Errorf("%d listeners stopped", n)
		}
	})
}

type callingCore struct {
	pubsub.Local
	call  func()
	stops atomic.Int64
}

func (c *callingCore) Listen(ctx context.Context, topic string, fn func(pubsub.Event)) (func(), error) {
	c.call()
	stop, err := c.Local.Listen(ctx, topic, fn)
	return func() { c.stops.Add(1); c.call(); stop() }, err
}
