package peer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/session"
	"github.com/alkdev/hubspoke/transport"
)

// gathering is a connection on which everything that has come is found by TryRead.
type gathering struct {
	transport.Conn
	mu    sync.Mutex // guards the fields below
	ready sync.Cond
	in    [][]byte
	err   error
}

func gather(c transport.Conn) *gathering {
	g := &gathering{Conn: c}
	g.ready.L = &g.mu
	go func() {
		for {
			data, err := c.Read()
			g.mu.Lock()
			if g.err = err; err == nil {
				g.in = append(g.in, append([]byte(nil), data...))
			}
			g.ready.Signal()
			g.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return g
}

func (g *gathering) TryRead() ([]byte, bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.in) == 0 {
		return nil, false, nil
	}
	data := g.in[0]
	g.in = g.in[1:]
	return data, true, nil
}

func (g *gathering) Read() ([]byte, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for len(g.in) == 0 && g.err == nil {
		g.ready.Wait()
	}
	if len(g.in) == 0 {
		return nil, g.err
	}
	data := g.in[0]
	g.in = g.in[1:]
	return data, nil
}

// sideUnder is newSide with a context, on a connection that may gather.
func sideUnder(ctx context.Context, t *testing.T, conn transport.Conn, cfg config, o session.Options) *side {
	t.Helper()
	cfg.Session = session.New(o)
	s := &side{Peer: newPeer(ctx, cfg), conn: conn, ran: make(chan struct{})}
	if err := cfg.Session.Attach(conn); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.ran)
		s.End(s.Run(conn))
		conn.Abort()
	}()
	t.Cleanup(func() {
		s.End(errors.New("the test is over"))
		conn.Abort()
		<-s.ran
		s.Wait()
	})
	return s
}

// valve holds a reader up.
type valve struct {
	mu   sync.Mutex
	turn sync.Cond
	shut bool
}

func (v *valve) set(shut bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.shut = shut
	if v.turn.L != nil {
		v.turn.Broadcast()
	}
}

func (v *valve) pass() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.turn.L = &v.mu
	for v.shut {
		v.turn.Wait()
	}
}

// What a callee does with a request.
const (
	answers = iota
	answersTwice
	answersLate // when it is aborted, or never
	completes
	answersLarge
	failsOwn
	failsRan // a code after which another may help, but it has run
	refusesFull
	refusesLeaving
	refusesUnknown
	fates
)

var refusals = map[int]call.Code{failsRan: call.CodeOverloaded, refusesFull: call.CodeOverloaded,
	refusesLeaving: call.CodeUnavailable, refusesUnknown: call.CodeOperationNotFound}

// callee is a spoke in the hands of a test, and the hub's end of its connection.
type callee struct {
	far  *side
	conn transport.Conn
	rnd  func(n int) int
	fate func() int
	read valve
	turn chan struct{} // holds one thing while somebody writes

	mu      sync.Mutex // guards the fields below
	asked   map[string]int
	refused map[string]int
	open    map[string]string // origin by request, of those without an answer
}

func newCallee(t *testing.T, i int, limit int, rnd func(int) int, fate func() int) *callee {
	t.Helper()
	x, y := transport.Pipe(&transport.PipeOptions{BufferBytes: 2 << 10})
	c := &callee{conn: y, rnd: rnd, fate: fate, turn: make(chan struct{}, 1),
		asked: map[string]int{}, refused: map[string]int{}, open: map[string]string{}}
	conn := x
	if rnd(2) == 0 {
		conn = gather(x)
	}
	c.far = sideUnder(context.Background(), t, conn, config{IDPrefix: fmt.Sprint("h", i, "-"),
		Serve: func(context.Context, *Incoming) *call.Error { return nil }}, session.Options{LimitBytes: limit})
	go c.run()
	return c
}

func (c *callee) run() {
	for {
		c.read.pass()
		data, err := c.conn.Read()
		if err != nil {
			return
		}
		f, err := parseFrame(data)
		if err != nil {
			panic(err)
		}
		var p struct{ RequestID, OriginID string }
		if err := json.Unmarshal(f.Payload, &p); err != nil {
			panic(err)
		}
		switch f.Type {
		case "call.requested":
			c.mu.Lock()
			c.asked[p.OriginID]++
			c.open[p.RequestID] = p.OriginID
			c.mu.Unlock()
			go c.serve(p.RequestID, c.fate(), time.Duration(c.rnd(20))*time.Millisecond)
		case "call.aborted":
			go c.fail(p.RequestID, call.CodeAborted, true)
		}
	}
}

func (c *callee) serve(id string, fate int, d time.Duration) {
	after(d)
	switch fate {
	case answersLate:
	case answers:
		c.end(id, "call.responded", `,"output":{"data":1,"meta":{}}`, false)
	case answersTwice:
		c.end(id, "call.responded", `,"output":1`, false)
		c.write(id, "call.responded", `,"output":2`)
	case answersLarge:
		c.end(id, "call.responded", fmt.Sprintf(`,"output":{"data":"%08000d"}`, 1), false)
	case completes:
		c.end(id, "call.completed", "", false)
	case failsOwn:
		c.fail(id, "OWN", true)
	default:
		c.fail(id, refusals[fate], fate == failsRan)
	}
}

func (c *callee) fail(id string, code call.Code, sent bool) {
	c.end(id, "call.error", fmt.Sprintf(`,"code":%q,"message":"m","retryable":true,"details":{"sent":%v}`, code, sent), !sent)
}

// end ends a request, once.
func (c *callee) end(id, typ, rest string, refused bool) {
	c.mu.Lock()
	origin, ok := c.open[id]
	delete(c.open, id)
	if ok && refused {
		c.refused[origin]++
	}
	c.mu.Unlock()
	if ok {
		c.write(id, typ, rest)
	}
}

func (c *callee) write(id, typ, rest string) {
	c.turn <- struct{}{}
	_ = c.conn.Write([][]byte{fmt.Appendf(nil, `{"type":%q,"payload":{"requestId":%q%s}}`, typ, id, rest)})
	<-c.turn
}

// tries is how often the callee was asked, and how often it said that it has not run.
func (c *callee) tries(origin string) (asked, refused int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked[origin], c.refused[origin]
}

// locked makes a source of numbers that goroutines may share.
func locked(r *rand.Rand) func(int) int {
	var mu sync.Mutex
	return func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return r.IntN(n)
	}
}
