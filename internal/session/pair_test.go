package session

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/transport"
)

// seed returns the number in HUBSPOKE_SEED, or one from the clock, and prints it.
func seed(t *testing.T) uint64 {
	n, err := strconv.ParseUint(os.Getenv("HUBSPOKE_SEED"), 10, 64)
	if err != nil {
		n = rand.Uint64N(1 << 32)
	}
	t.Logf("HUBSPOKE_SEED=%d", n)
	return n
}

// end is one of two sessions, with what was sent to it and what has arrived.
type end struct {
	t     *testing.T
	s     *Session
	conn  transport.Conn
	wg    sync.WaitGroup
	limit int

	mu        sync.Mutex // guards the fields below
	arrived   []string
	sent      []string
	withdrawn map[string]bool
	posted    map[string]int
}

const pairTypes = "frame "

// read takes what comes as peer.Run does.
func (e *end) read(c transport.Conn) {
	for {
		data, err := c.Read()
		if err != nil {
			e.s.Detach(c)
			return
		}
		var m wire.Message
		if err := wire.Parse(data, &m); err != nil {
			e.t.Errorf("not a frame: %q", data)
		}
		if m.Type == wire.Ack {
			if err := e.s.Ack(m.Received); err != nil {
				e.t.Error(err)
			}
			continue
		}
		if m.Type.Counted() {
			e.s.Received(len(data))
		}
		e.mu.Lock()
		if m.Type == wire.Gap {
			e.arrived = append(e.arrived, fmt.Sprintf("gap %s %d", m.Topic, m.Dropped))
		} else {
			e.arrived = append(e.arrived, string(m.Topic)+strings.Trim(string(m.Payload), `"`))
		}
		e.mu.Unlock()
	}
}

func textFrame(typ, text string) *Buffer {
	b := NewBuffer(0)
	b.B = wire.AppendEvent(b.B, typ, strconv.AppendQuote(nil, text))
	return b
}

// say sends one frame of a random kind.
func (e *end) say(ctx context.Context, rnd *rand.Rand, n int) {
	text := fmt.Sprint(n, " ", strings.Repeat("x", rnd.IntN(100)))
	switch rnd.IntN(6) {
	case 0:
		topic := string("ab"[rnd.IntN(2)])
		e.mu.Lock()
		defer e.mu.Unlock()
		appendEvent(e.s, topic, textFrame("event "+topic+" ", fmt.Sprint(e.posted[topic])))
		e.posted[topic]++
	case 1:
		e.mu.Lock()
		defer e.mu.Unlock()
		if err := e.s.AppendControl(Control, textFrame(pairTypes, text)); err != nil {
			e.t.Error(err)
		}
		e.sent = append(e.sent, text)
	case 2:
		_ = e.s.AppendControl(Uncounted, textFrame("__ping", ""))
	default:
		e.one(ctx, rnd, Kind(rnd.IntN(2)), text)
	}
}

// one sends a frame of which the order among others is that of this goroutine alone.
func (e *end) one(ctx context.Context, rnd *rand.Rand, k Kind, text string) {
	e.mu.Lock()
	e.sent = append(e.sent, text)
	e.mu.Unlock()
	p, err := e.s.Append(ctx, k, textFrame(pairTypes, text), time.Duration(rnd.IntN(300))*time.Millisecond, nil)
	taken := err != nil
	if err == nil && rnd.IntN(5) == 0 {
		written := e.s.Written(p)
		taken = e.s.Withdraw(p)
		if taken && written {
			e.t.Errorf("%q was written and is withdrawn", text)
		}
	}
	if err != nil && !errors.Is(err, ErrNoRoom) {
		e.t.Error(err)
	}
	if taken {
		e.mu.Lock()
		e.withdrawn[text] = true
		e.mu.Unlock()
	}
}

// check compares what arrived from the other end with what that has sent.
func (e *end) check(from *end) {
	next := map[string]int{}
	var got, want []string
	for _, line := range e.arrived {
		typ, rest, _ := strings.Cut(line, " ")
		var topic string
		var n int
		switch typ {
		case "frame":
			got = append(got, rest)
		case "event":
			_, _ = fmt.Sscan(rest, &topic, &n)
			if n != next[topic] {
				e.t.Errorf("event %d of %s where %d is due", n, topic, next[topic])
			}
			next[topic] = n + 1
		case "gap":
			_, _ = fmt.Sscan(rest, &topic, &n)
			next[topic] += n
		}
	}
	for topic, n := range from.posted {
		if next[topic] != n {
			e.t.Errorf("%d of %d events of %s are accounted for", next[topic], n, topic)
		}
	}
	for _, text := range from.sent {
		if !from.withdrawn[text] {
			want = append(want, text)
		}
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		e.t.Errorf("%d frames arrived of %d, or in another order", len(got), len(want))
	}
}

// connect joins the two by a new connection, as a registration does: each announces what it has received.
func connect(t *testing.T, a, b *end, first bool) {
	a.wg.Wait()
	b.wg.Wait()
	atA, atB := a.s.ReceivedCount(), b.s.ReceivedCount()
	a.conn, b.conn = transport.Pipe(&transport.PipeOptions{BufferBytes: 500})
	for _, x := range []struct {
		e        *end
		received uint64
	}{{a, atB}, {b, atA}} {
		var err error
		if first {
			err = x.e.s.Attach(x.e.conn)
		} else if err = x.e.s.Check(x.received); err == nil {
			err = x.e.s.Resume(x.e.conn, x.received)
		}
		if err != nil {
			t.Fatal(err)
		}
		x.e.wg.Go(func() { x.e.read(x.e.conn) })
	}
}

// Two sessions over connections that are cut at random: every frame arrives once and in order, every event or
// its gap, what was withdrawn never does, and neither queue exceeds its bound.
func TestTwoSessionsOverCuts(t *testing.T) {
	first := seed(t)
	for i := range uint64(30) {
		bubble.Test(t, func(t *testing.T) { overCuts(t, rand.New(rand.NewPCG(first, i))) })
		if t.Failed() {
			t.Fatalf("in round %d", i)
		}
	}
}

func overCuts(t *testing.T, rnd *rand.Rand) {
	total := &Totals{MaxDetached: 4000}
	ends := make([]*end, 2)
	for i := range ends {
		limit := 2000 + rnd.IntN(2000) // frames that are posted do not wait
		s := New(Options{LimitBytes: limit, EventBytes: 100 + rnd.IntN(400), Resumable: true, Totals: total})
		ends[i] = &end{t: t, s: s, limit: limit, withdrawn: map[string]bool{}, posted: map[string]int{}}
	}
	for i, e := range ends {
		e.s.SetPeerBuffer(int64(ends[1-i].limit))
	}
	connect(t, ends[0], ends[1], true)
	quit := make(chan struct{})
	defer close(quit)
	go func() { // as the heartbeat does
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case now := <-tick.C:
				ends[0].s.AckOverdue(now)
				ends[1].s.AckOverdue(now)
			case <-quit:
				return
			}
		}
	}()
	var talk sync.WaitGroup
	for _, e := range ends {
		mine := rand.New(rand.NewPCG(rnd.Uint64(), 0))
		talk.Go(func() {
			for n := range 300 {
				e.say(t.Context(), mine, n)
				if mine.IntN(20) == 0 {
					<-time.After(time.Duration(mine.IntN(700)) * time.Millisecond)
				}
				// What waited for room may go over by one frame; events have a budget, and terminal frames twice the limit.
				if n := e.s.QueuedBytes(); n > 2*e.limit+1000 {
					t.Errorf("%d bytes in the queue, the limit is %d", n, e.limit)
				}
			}
		})
	}
	for range 60 {
		<-time.After(time.Duration(rnd.IntN(400)) * time.Millisecond)
		for _, i := range rnd.Perm(2) {
			ends[i].conn.Abort()
			<-time.After(time.Duration(rnd.IntN(2)*rnd.IntN(100)) * time.Millisecond)
		}
		connect(t, ends[0], ends[1], false)
	}
	talk.Wait()
	<-time.After(10 * time.Second)
	for i, e := range ends {
		e.check(ends[1-i])
		if n := e.s.QueuedBytes(); n != 0 || cap(e.s.queue.entries) > keepEntries {
			t.Errorf("an idle session holds %d bytes", n)
		}
	}
	if queued, detached := total.QueuedBytes.Load(), total.DetachedBytes.Load(); queued != 0 || detached != 0 {
		t.Errorf("%d and %d bytes are counted that no session holds", queued, detached)
	}
	for _, e := range ends {
		e.conn.Abort()
		e.wg.Wait()
		e.s.End(nil)
		e.s.Wait()
	}
}
