package peer

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/internal/session"
	"github.com/alkdev/hubspoke/transport"
)

// ending is how a call ended, as its caller read it.
type ending struct {
	code call.Code // "" for an answer
	sent bool
}

// relaying is a hub between a caller and a few callees; caller and callees are in the hands of the test.
type relaying struct {
	t       *testing.T
	rnd     func(int) int
	near    *side
	conn    transport.Conn // the caller's
	read    valve
	stop    context.CancelFunc // of the hub
	callees []*callee
	limited bool // callees may be full
	broken  bool // a session was ended

	mu   sync.Mutex // guards the field below
	ends map[string][]ending
}

// seedOf gives the seed of a run: HUBSPOKE_RELAY_SEED, or a new one.
func seedOf(t *testing.T) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if s := os.Getenv("HUBSPOKE_RELAY_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("HUBSPOKE_RELAY_SEED: %v", err)
		}
	}
	t.Logf("HUBSPOKE_RELAY_SEED=%d", seed)
	return seed
}

func newRelaying(t *testing.T, rnd func(int) int, fate func() int) *relaying {
	t.Helper()
	r := &relaying{t: t, rnd: rnd, ends: map[string][]ending{}, limited: rnd(2) == 0}
	limit := []int{0, 600, 2 << 10}[rnd(3)]
	for i := range 1 + rnd(3) {
		c := newCallee(t, i, limit, rnd, fate)
		if r.limited {
			c.far.SetRemote(0, 3)
		}
		r.callees = append(r.callees, c)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	r.stop = cancel
	x, y := transport.Pipe(&transport.PipeOptions{BufferBytes: 1 << 10})
	r.conn = y
	conn := x
	if rnd(2) == 0 {
		conn = gather(x)
	}
	r.near = sideUnder(ctx, t, conn, config{Relay: r.relay, Serve: r.serve, MaxInFlight: 12}, session.Options{LimitBytes: limit})
	r.near.SetRemote(4096, 0)
	go r.listen()
	return r
}

func relayLeg(in *Incoming) call.Request {
	leg := call.Request{Operation: in.Request.Operation, OriginID: in.Request.ID}
	if in.Request.Timeout != 0 {
		leg.Timeout = -1 // what is left is in the context
	}
	return leg
}

func anotherMayHelp(e *call.Error) bool {
	return slices.Contains([]call.Code{call.CodeOverloaded, call.CodeUnavailable, call.CodeOperationNotFound, call.CodeDisconnected}, e.Code)
}

func (r *relaying) relay(in *Incoming) bool {
	leg := relayLeg(in)
	return in.Relay(r.callees[r.rnd(len(r.callees))].far.Peer, &leg)
}

// serve tries the candidates one after the other, as a hub does.
func (r *relaying) serve(_ context.Context, in *Incoming) *call.Error {
	before, last := in.Tried()
	if before != nil && !anotherMayHelp(last) {
		return last
	}
	for _, c := range r.callees {
		if c.far.Peer == before {
			continue
		}
		leg := relayLeg(in)
		e := c.far.Peer.Do(in, &leg)
		if e == nil || e.Sent || !anotherMayHelp(e) {
			return e
		}
		last = e
	}
	return last
}

// listen notes how the calls end.
func (r *relaying) listen() {
	for {
		r.read.pass()
		data, err := r.conn.Read()
		if err != nil {
			return
		}
		f, err := parseFrame(data)
		if err != nil {
			panic(err)
		}
		var p struct {
			RequestID string
			Code      call.Code
			Details   struct{ Sent bool }
		}
		if err := json.Unmarshal(f.Payload, &p); err != nil {
			panic(err)
		}
		r.mu.Lock()
		r.ends[p.RequestID] = append(r.ends[p.RequestID], ending{p.Code, p.Details.Sent})
		r.mu.Unlock()
	}
}

// act makes calls and does one harmful thing or another, in a random order.
func (r *relaying) act(calls int) {
	for i := range calls {
		id := fmt.Sprint("r", i)
		timeout := ""
		if r.rnd(3) == 0 {
			timeout = fmt.Sprintf(`,"timeout":%d`, 1+r.rnd(30))
		}
		frames := [][]byte{fmt.Appendf(nil, `{"type":"call.requested","payload":{"requestId":%q,"operationId":"x.y"%s}}`, id, timeout)}
		abort := fmt.Appendf(nil, `{"type":"call.aborted","payload":{"requestId":%q}}`, id)
		if r.rnd(8) == 0 {
			frames = append(frames, abort) // before the request can have left
			abort = nil
		}
		_ = r.conn.Write(frames)
		if r.rnd(2) == 0 {
			after(time.Duration(r.rnd(4)) * time.Millisecond)
		}
		if abort != nil && r.rnd(4) == 0 {
			_ = r.conn.Write([][]byte{abort})
		}
		if r.rnd(10) == 0 {
			r.harm()
		}
	}
}

func (r *relaying) harm() {
	c := r.callees[r.rnd(len(r.callees))]
	switch r.rnd(12) {
	case 0:
		r.broken = true
		c.far.End(errOver)
	case 1:
		r.broken = true
		c.conn.Abort()
	case 2:
		r.broken = true
		r.near.End(errOver)
	case 3:
		r.broken = true
		r.stop()
	case 4, 5, 6:
		r.read.set(true)
		time.AfterFunc(time.Duration(r.rnd(60))*time.Millisecond, func() { r.read.set(false) })
	default:
		c.read.set(true)
		time.AfterFunc(time.Duration(r.rnd(60))*time.Millisecond, func() { c.read.set(false) })
	}
}

// answered counts the calls that were answered.
func (r *relaying) answered() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ends := range r.ends {
		if len(ends) > 0 && ends[0].code == "" {
			n++
		}
	}
	return n
}

// check looks at what is left when everything has come to rest.
func (r *relaying) check(calls int) {
	r.t.Helper()
	if n := r.near.Serving(); n != 0 {
		r.t.Errorf("%d slots are still taken", n)
	}
	broken := r.broken || r.near.Session().Cause() != nil
	for i, c := range r.callees {
		if c.far.Session().Cause() != nil {
			broken = true
		} else if n, _ := c.far.InFlight(); n != 0 {
			r.t.Errorf("%d calls are still in flight at callee %d", n, i)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range calls {
		r.checkCall(fmt.Sprint("r", i), broken)
	}
}

func (r *relaying) checkCall(id string, broken bool) {
	r.t.Helper()
	ends := r.ends[id]
	if len(ends) > 1 || len(ends) == 0 && r.near.Session().Cause() == nil {
		r.t.Errorf("%s has ended %d times: %v", id, len(ends), ends)
	}
	asked, refused := 0, 0
	for i, c := range r.callees {
		a, f := c.tries(id)
		asked, refused = asked+a, refused+f
		if a > 1 {
			r.t.Errorf("%s came to callee %d %d times", id, i, a)
		}
	}
	if asked-refused > 1 {
		r.t.Errorf("%s can have run at %d callees", id, asked-refused)
	}
	if len(ends) == 0 {
		return
	}
	e := ends[0]
	switch {
	case e.code != "" && !e.sent && asked > refused:
		r.t.Errorf("%s ended with %v, but a callee has it and did not refuse it", id, e)
	case e.code == "" && asked == refused, !broken && e.sent && asked == 0: // a refusal may have been on its way
		r.t.Errorf("%s ended with %v, but nobody can have run it (%d asked)", id, e, asked)
	case !broken && !r.limited && asked > 0 && !e.sent && anotherMayHelp(&call.Error{Code: e.code}) && asked < len(r.callees):
		r.t.Errorf("%s ended with %v when %d of %d had been asked", id, e, asked, len(r.callees))
	}
}

// Each relayed call ends once and truthfully, and leaves nothing behind, whatever happens in whatever order.
func TestRelayedCallsEndOnce(t *testing.T) {
	seed := seedOf(t)
	answered := 0
	for round := range uint64(12) {
		bubble.Test(t, func(t *testing.T) {
			rnd := locked(rand.New(rand.NewPCG(seed, round)))
			r := newRelaying(t, rnd, func() int { return rnd(fates) })
			const calls = 60
			r.act(calls)
			after(2 * time.Minute) // longer than any call
			r.check(calls)
			answered += r.answered()
		})
	}
	if answered == 0 { // a few are, of 720: most callees fail or refuse, and sessions end early
		t.Errorf("%d calls were answered", answered)
	}
}
