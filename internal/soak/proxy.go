package main

import (
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// proxy forwards connections from spokes to a hub. A fault cuts a connection after a
// random number of bytes more in one direction, wherever in a message that is, or holds one direction up.
type proxy struct {
	listener net.Listener
	target   string
	rate     int // bytes per second in each direction of each connection; 0 is no limit
	wg       sync.WaitGroup
	cuts     atomic.Uint64
	stalls   atomic.Uint64
	accepted atomic.Uint64

	mu   sync.Mutex // guards the fields below
	rnd  *rand.Rand
	live []*wire
}

// wire is one connection through the proxy.
type wire struct {
	ends  [2]net.Conn     // the spoke's and the hub's
	left  [2]atomic.Int64 // bytes that still pass, by the end that sends them; negative is no bound
	stall [2]atomic.Int64 // how long the next chunk is held up, likewise
	gone  chan struct{}
	close func()
}

// maxStall is the limit of the time that a fault holds one direction of a connection up.
const maxStall = 500 * time.Millisecond

func newProxy(target string, seed uint64, rate int) (*proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{listener: l, target: target, rate: rate, rnd: rand.New(rand.NewPCG(seed, seed))}
	p.wg.Go(p.accept)
	return p, nil
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		a, err := p.listener.Accept()
		if err != nil {
			return
		}
		b, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = a.Close()
			continue
		}
		p.accepted.Add(1)
		if p.rate > 0 {
			smallBuffers(a)
			smallBuffers(b)
		}
		w := &wire{ends: [2]net.Conn{a, b}, gone: make(chan struct{})}
		w.left[0].Store(-1)
		w.left[1].Store(-1)
		w.close = sync.OnceFunc(func() { close(w.gone); _ = a.Close(); _ = b.Close() })
		p.mu.Lock()
		p.live = append(p.live, w)
		p.mu.Unlock()
		for from := range w.ends {
			p.wg.Go(func() { p.pump(w, from) })
		}
	}
}

// smallBuffers makes the system hold less than a value of what a slow link has not carried yet, so that writers
// wait for the link.
func smallBuffers(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(socketBuffer) // if it fails, writers wait less
		_ = tcp.SetWriteBuffer(socketBuffer)
	}
}

// socketBuffer is as large as a segment of the loopback interface: TCP stalls if it is smaller.
const socketBuffer = 64 << 10

const (
	ratePeriod = 20 * time.Millisecond  // how often a proxy of limited rate forwards the bytes that are due
	rateBurst  = 100 * time.Millisecond // how much of an unused rate it makes up for
)

// pump forwards the bytes that one end sends.
func (p *proxy) pump(w *wire, from int) {
	defer w.close()
	buf := make([]byte, 16<<10)
	if p.rate > 0 {
		buf = buf[:max(1, p.rate*int(ratePeriod)/int(time.Second))]
	}
	due := time.Now() // of the bytes read last, by the rate
	wait := func(d time.Duration) {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-w.gone:
		}
	}
	for {
		n, err := w.ends[from].Read(buf)
		if held := w.stall[from].Swap(0); held > 0 {
			wait(time.Duration(held))
		}
		if p.rate > 0 {
			due = due.Add(time.Duration(n) * time.Second / time.Duration(p.rate))
			if earliest := time.Now().Add(-rateBurst); due.Before(earliest) {
				due = earliest
			}
			wait(time.Until(due))
		}
		cut := false
		if left := w.left[from].Load(); left >= 0 {
			cut = int64(n) >= left
			n = int(min(int64(n), left))
			w.left[from].Add(-int64(n))
		}
		if _, werr := w.ends[1-from].Write(buf[:n]); werr != nil || err != nil {
			return
		}
		if cut {
			p.cuts.Add(1)
			return
		}
	}
}

// start orders faults until the context ends; the channel is closed then.
func (p *proxy) start(ctx context.Context, rate float64) <-chan struct{} {
	done := make(chan struct{})
	if rate == 0 {
		close(done)
		return done
	}
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Duration(float64(time.Second) / rate))
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				p.fault()
			}
		}
	}()
	return done
}

func (p *proxy) fault() {
	p.mu.Lock()
	defer p.mu.Unlock()
	live := p.live[:0]
	for _, w := range p.live {
		select {
		case <-w.gone:
		default:
			live = append(live, w)
		}
	}
	clear(p.live[len(live):])
	p.live = live
	if len(live) == 0 {
		return
	}
	w, from := live[p.rnd.IntN(len(live))], p.rnd.IntN(2)
	if p.rnd.IntN(5) == 0 {
		p.stalls.Add(1)
		w.stall[from].Store(p.rnd.Int64N(int64(maxStall)))
		return
	}
	w.left[from].Store(int64(p.rnd.IntN(1 + p.rnd.IntN(8<<10)))) // often at once
}

// heal lets everything pass from now on.
func (p *proxy) heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.live {
		for from := range w.left {
			w.left[from].Store(-1)
		}
	}
}

// close ends the proxy and what is connected.
func (p *proxy) close() {
	_ = p.listener.Close()
	p.mu.Lock()
	live := p.live
	p.mu.Unlock()
	for _, w := range live {
		w.close()
	}
	p.wg.Wait()
}
