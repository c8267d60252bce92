package redisbackplane_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/redistest"
	"github.com/alkdev/hubspoke/spoke"
)

// mostCommands is what a call may send that fails: for each of two hubs the lookups (a record or a set, and leases) and
// what opens a link, and a tick or two for other calls.
const mostCommands = 8

// fails makes a call and returns its error. A call that fails sends few commands, and none while Redis is known to
// be down.
func fails(t *testing.T, from *node, opts ...call.Option) error {
	t.Helper()
	before, most := from.sent.forCalls(), mostCommands
	down := strings.Contains(strings.Join(from.bp.Health().Reasons, " "), "cannot be reached")
	if down {
		most = 0
	}
	_, err := call.Invoke[string](t.Context(), from.Hub, "test.who", nil, opts...)
	if n := from.sent.forCalls() - before; err != nil && n > most {
		t.Errorf("a call failed only after %d commands (Redis known to be down: %v): %v", n, down, err)
	}
	return err
}

func healthy(n *node) bool { return n.bp.Health().Status == hub.StatusOK }

// outage is two hubs with spokes, and a call in flight between them.
type outage struct {
	*testing.T
	server *redistest.Server
	a, b   *node
	onA    *hubtest.Spoke
	onB    *hubtest.Spoke
}

func newOutage(t *testing.T) *outage {
	server := redistest.Start(t)
	nodes := startNodes(t, server.URL(), 2)
	o := &outage{T: t, server: server, a: nodes[0], b: nodes[1]}
	o.onA = o.a.Spoke("on-a", nil, serve("on-a"))
	o.onB = o.b.Spoke("on-b", nil, serve("on-b"))
	o.works("before")
	return o
}

func (o *outage) works(when string) {
	o.Helper()
	within(o, 3*time.Second, when+" a calls b", func() bool { return calls(o, o.a.Hub, "on-b", call.To("on-b")) })
	within(o, 3*time.Second, when+" b calls a", func() bool { return calls(o, o.b.Hub, "on-a", call.To("on-a")) })
	within(o, 3*time.Second, when+" all is well", func() bool { return healthy(o.a) && healthy(o.b) })
}

// inFlight starts a call to on-b that does not end by itself.
func (o *outage) inFlight() <-chan error {
	ended := make(chan error, 1)
	go func() {
		_, err := call.Invoke[string](context.WithoutCancel(o.Context()), o.a.Hub, "test.wait", nil, call.To("on-b"), call.Timeout(time.Minute))
		ended <- err
	}()
	within(o, time.Second, "the call is in flight", func() bool { return o.onB.Stats().Serving == 1 })
	return ended
}

// How many messages, a tick a second, the caller's hub sends until a call in flight ends: where the loss shows by
// itself, and where only three seconds of silence show it.
const (
	seen   = 2
	silent = 5
)

// disconnected waits until the call in flight has ended, before its hub has sent more messages than allowed.
func (o *outage) disconnected(ended <-chan error, most int) {
	o.Helper()
	before, begin := o.a.sent.messages(), time.Now()
	select {
	case err := <-ended:
		o.lost(err)
		n := o.a.sent.messages() - before
		o.Logf("the call in flight ended after %v and %d messages", time.Since(begin).Round(time.Millisecond), n)
		if n > most {
			o.Errorf("the call in flight ended only after %d messages to other hubs, not %d", n, most)
		}
	case <-time.After(longest):
		o.Fatal("the call in flight does not end")
	}
}

// lost checks how a call ended whose link was lost, and that its handler ends.
func (o *outage) lost(err error) {
	o.Helper()
	e, ok := errors.AsType[*call.Error](err)
	if !ok || e.Code != call.CodeDisconnected || !e.Sent {
		o.Errorf("the call in flight ended with %v", err)
	}
	within(o, 3*time.Second, "its handler is aborted", func() bool { return o.onB.Stats().Serving == 0 })
}

func (o *outage) nobodyDropped() {
	o.Helper()
	for _, s := range []*hubtest.Spoke{o.onA, o.onB} {
		if n := s.Stats().Connections; s.State() != spoke.Registered || n != 1 {
			o.Errorf("spoke %s is %v with connection %d", s.ID(), s.State(), n)
		}
	}
}

func TestRedisStopped(t *testing.T) {
	o := newOutage(t)
	ended := o.inFlight()
	o.server.Kill()
	o.disconnected(ended, seen)
	within(t, time.Second, "calls to another hub fail", func() bool {
		return errors.Is(fails(t, o.a, call.To("on-b")), call.CodeUnavailable)
	})
	within(t, time.Second, "health tells", func() bool { return !healthy(o.a) && !healthy(o.b) })
	within(t, time.Second, "the reasons begin with what has failed", func() bool {
		return slices.ContainsFunc(o.a.bp.Health().Reasons, func(reason string) bool {
			return strings.HasPrefix(reason, "redisbackplane: Redis cannot be reached: ")
		})
	})
	for range 20 {
		if err := fails(t, o.a, call.To("on-b")); !errors.Is(err, call.CodeUnavailable) {
			t.Errorf("%v", err)
		}
		if !calls(t, o.a.Hub, "on-a") {
			t.Error("a call on one hub failed")
		}
	}
	o.a.Spoke("late", nil, serve("late")) // registration still works
	o.nobodyDropped()

	o.server.Restart()
	within(t, 3*time.Second, "who came meanwhile is seen", func() bool { return calls(t, o.b.Hub, "late", call.To("late")) })
	o.works("after a restart")

	o.server.Kill()
	o.a.Spoke("later", nil, serve("later"))
	o.server.RestartEmpty()
	within(t, 3*time.Second, "who came meanwhile is seen", func() bool { return calls(t, o.b.Hub, "later", call.To("later")) })
	for _, id := range []string{"on-a", "late", "later"} {
		within(t, 3*time.Second, "by operation too", func() bool {
			who, err := call.Invoke[string](t.Context(), o.b.Hub, "test.who."+id, nil)
			return err == nil && who == id
		})
	}
	o.works("after an empty restart")
	o.nobodyDropped()
}

// A spoke that moves while Redis is down is on two hubs then; the higher generation wins.
func TestMoveWhileRedisIsDown(t *testing.T) {
	o := newOutage(t)
	old := o.a.Spoke("mover", nil, serve("first"))
	o.server.Kill()
	within(t, time.Second, "health tells", func() bool { return !healthy(o.a) && !healthy(o.b) })
	o.b.Spoke("mover", nil, serve("second"))
	if !calls(t, o.a.Hub, "first", call.To("mover")) || !calls(t, o.b.Hub, "second", call.To("mover")) {
		t.Error("each hub should have its own")
	}
	o.server.RestartEmpty()
	begin := time.Now()
	_ = old.Wait()
	t.Logf("the older one was closed after %v", time.Since(begin).Round(time.Millisecond))
	within(t, 3*time.Second, "the newer one is seen", func() bool { return calls(t, o.a.Hub, "second", call.To("mover")) })
	o.works("after the move")
}

func TestFlushedRedis(t *testing.T) {
	server := redistest.Start(t)
	o := &redisOptions{Lease: time.Second}
	a, b := startNode(t, server.URL(), "hub-a", o), startNode(t, server.URL(), "hub-b", o)
	b.Spoke("on-b", nil, serve("on-b"))
	within(t, time.Second, "it is seen", func() bool { return calls(t, a.Hub, "on-b", call.To("on-b")) })
	server.Do("FLUSHALL") // nobody is told
	within(t, 2*time.Second, "it is seen again", func() bool {
		_, err := call.Invoke[string](t.Context(), a.Hub, "test.who", nil, call.To("on-b"))
		return err == nil && server.Do("DBSIZE") != "0"
	})
	within(t, 2*time.Second, "by operation", func() bool { return calls(t, a.Hub, "on-b") })
}

func TestClientKill(t *testing.T) {
	for _, kind := range []string{"pubsub", "normal"} {
		t.Run(kind, func(t *testing.T) {
			o := newOutage(t)
			ended := o.inFlight()
			o.server.Do("CLIENT", "KILL", "TYPE", kind)
			if kind == "pubsub" {
				o.disconnected(ended, seen)
			}
			o.works("after CLIENT KILL")
			o.nobodyDropped()
			if kind == "pubsub" {
				return
			}
			// What a hub hears was not cut: the call is still in flight, unless a message of it was just being published.
			select {
			case err := <-ended:
				o.lost(err)
			default:
				if n := o.onB.Stats().Serving; n != 1 {
					t.Errorf("the call has not ended, and %d handlers run", n)
				}
				o.server.Do("CLIENT", "KILL", "TYPE", "pubsub")
				o.disconnected(ended, seen)
			}
		})
	}
}

func TestClientPause(t *testing.T) {
	t.Parallel()
	o := newOutage(t)
	ended := o.inFlight()
	o.server.Do("CLIENT", "PAUSE", "4000", "ALL")
	o.disconnected(ended, silent+2)
	if !calls(t, o.a.Hub, "on-a") {
		t.Error("a call on one hub failed")
	}
	within(t, 4*time.Second, "it works again", func() bool { return calls(t, o.a.Hub, "on-b", call.To("on-b")) })
	o.works("after CLIENT PAUSE")
	o.nobodyDropped()
}
