package peer

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/session"
	"github.com/alkdev/hubspoke/pending"
	"github.com/alkdev/hubspoke/transport"
)

// Two ends of one call at the very same moment, on as many processors as there are: its caller is told of one of them,
// whichever, and its slot and its goroutine are counted once.
func TestTwoEndsAtOnce(t *testing.T) {
	refusal := &call.Error{Code: call.CodeOverloaded}
	ends := []func(far *Peer, in *Incoming, r *Outgoing){
		func(far *Peer, _ *Incoming, _ *Outgoing) { // as its reader does
			far.pending.Respond([]byte("f-1"), []byte("1"))
			far.unflushed.flush()
		},
		func(far *Peer, _ *Incoming, _ *Outgoing) {
			far.pending.Fail([]byte("f-1"), &call.Error{Code: "OWN", Sent: true})
		},
		func(far *Peer, _ *Incoming, _ *Outgoing) { far.pending.Fail([]byte("f-1"), refusal) },
		func(_ *Peer, in *Incoming, _ *Outgoing) { in.cancel(errOver) },
		func(far *Peer, _ *Incoming, _ *Outgoing) { far.End(errOver) },
		func(_ *Peer, _ *Incoming, o *Outgoing) { o.Take(nil, pending.ErrTimeout) },
	}
	for i, one := range ends {
		for _, other := range ends[i+1:] {
			for range 40 {
				bothEnd(t, one, other)
			}
		}
	}
}

// The end of a call may come while its relay is still being set up.
func TestEndWhileRelaying(t *testing.T) {
	for _, end := range []func(*hop){
		func(h *hop) { h.in.cancel(errOver) },
		func(h *hop) { h.near.End(errOver) },
		func(h *hop) { h.far.End(errOver) },
		func(h *hop) { // when there is no relay to abort yet
			for h.far.pending.Len() == 0 {
				continue
			}
			h.in.cancel(errOver)
		},
		func(h *hop) { // it looks at where in the log the request is
			for h.far.pending.Len() == 0 {
				continue
			}
			h.far.pending.Close(endedError{errOver})
		},
		func(h *hop) {
			for h.far.pending.Fail([]byte("f-1"), &call.Error{Code: "OWN", Sent: true}) == pending.Unknown {
				continue
			}
		},
	} {
		for range 60 {
			h := newHop(t)
			begin := time.Now()
			h.atOnce(func() {
				if !h.relay() {
					h.in.run()
				}
				h.near.unflushed.flush()
			}, func() { end(h) })
			h.check(0)
			if took := time.Since(begin); took > 20*time.Second {
				t.Errorf("it ended by its time alone, after %v", took)
			}
		}
	}
}

// A request that cannot be relayed is left as it was: nothing is sent, nothing waits, and it is served as if it had just come.
func TestNotRelayed(t *testing.T) {
	deep := strings.Repeat("[", 9) + strings.Repeat("]", 9)
	for name, c := range map[string]struct {
		before func(h *hop)
		req    call.Request
	}{
		"aborted":           {func(h *hop) { h.in.ctx.cancel(errOver) }, call.Request{}},
		"its time is up":    {func(h *hop) { h.in.ctx.deadline = time.Now() }, call.Request{}},
		"input too deep":    {func(h *hop) { h.far.maxDepth.Store(8) }, call.Request{Input: []byte(deep)}},
		"metadata too deep": {func(h *hop) { h.far.maxDepth.Store(8) }, call.Request{Metadata: []byte(`{"a":` + deep + `}`)}},
		"input too large":   {func(h *hop) { h.far.SetRemote(200, 0) }, call.Request{Input: []byte(`"` + strings.Repeat("x", 200) + `"`)}},
		"the limit of requests in flight": {func(h *hop) {
			h.far.SetRemote(0, 1)
			other := newHop(h.t)
			other.far = h.far
			if !other.relay() {
				h.t.Fatal("not relayed")
			}
			other.near.unflushed.flush()
		}, call.Request{}},
		"the other side has ended": {func(h *hop) { h.far.End(errOver) }, call.Request{}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHop(t)
			c.before(h)
			waiting, calls := h.far.pending.Len(), h.far.cfg.Counters.Calls.Load()
			c.req.Operation = "x.y"
			if h.in.Relay(h.far, &c.req) {
				t.Error("it was relayed")
			}
			if p, e := h.in.Tried(); p != nil || e != nil || h.in.out != nil {
				t.Errorf("tried %v, %v, relay %v", p, e, h.in.out)
			}
			if n, m := h.far.pending.Len(), h.far.cfg.Counters.Calls.Load(); n != waiting || m != calls {
				t.Errorf("%d wait for an answer, %d calls were counted", n-waiting, m-calls)
			}
			h.in.run()
			h.check(1)
		})
	}
}

// hop is a call that is about to be relayed.
type hop struct {
	t         *testing.T
	near, far *Peer
	in        *Incoming
	told      *counting
}

func newHop(t *testing.T) *hop {
	t.Helper()
	h := &hop{t: t, told: &counting{}}
	h.far = newPeer(context.Background(), config{Session: session.New(session.Options{}), IDPrefix: "f-"})
	h.near = newPeer(context.Background(), config{Session: session.New(session.Options{}),
		Serve: func(context.Context, *Incoming) *call.Error { return &call.Error{Code: call.CodeUnavailable} }})
	for p, conn := range map[*Peer]*counting{h.far: {}, h.near: h.told} {
		if err := p.sess.Attach(conn); err != nil {
			t.Fatal(err)
		}
	}
	h.in = &Incoming{peer: h.near, Request: call.Request{ID: "q", Operation: "x.y"}}
	if ok, e := h.near.admit(h.in, time.Now(), nil); !ok || e != nil {
		t.Fatal("not admitted")
	}
	return h
}

func (h *hop) relay() bool {
	return h.in.Relay(h.far, &call.Request{Operation: "x.y"})
}

// bothEnd relays a call and ends it in two ways at once.
func bothEnd(t *testing.T, one, other func(*Peer, *Incoming, *Outgoing)) {
	t.Helper()
	h := newHop(t)
	if !h.relay() {
		t.Fatal("not relayed")
	}
	o := h.in.out
	h.near.unflushed.flush()
	h.atOnce(func() { one(h.far, h.in, o) }, func() { other(h.far, h.in, o) })
	h.check(1)
}

func (h *hop) atOnce(both ...func()) {
	var group sync.WaitGroup
	begin := make(chan struct{})
	for _, do := range both {
		group.Go(func() {
			<-begin
			do()
		})
	}
	close(begin)
	group.Wait()
}

// check waits for the end of the call and counts what its caller was told.
func (h *hop) check(least int) {
	h.t.Helper()
	h.near.wg.Wait() // or never, if something was counted wrongly
	if err := h.near.sess.Flush(h.t.Context()); err == nil {
		least = 1
	}
	if n := h.told.frames(); n < least || n > 1 || h.near.Serving() != 0 {
		h.t.Errorf("told %d times, %d slots are taken", n, h.near.Serving())
	}
	for _, p := range []*Peer{h.near, h.far} {
		p.End(nil)
		p.Wait()
	}
}

// counting is a connection that counts what is written.
type counting struct {
	transport.Conn
	mu sync.Mutex
	n  int
}

func (c *counting) Write(frames [][]byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n += len(frames)
	return nil
}

func (c *counting) TryWrite(frames [][]byte) bool { return c.Write(frames) == nil }

func (c *counting) frames() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}
