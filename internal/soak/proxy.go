package main

import (
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// proxy stands between the spokes and the hub. A fault cuts a connection after a
// random number of bytes more in one direction, wherever in a message that is, or holds one direction up.
type proxy struct {
	listener net.Listener
	target   string
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

func newProxy(target string, seed uint64) (*proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{listener: l, target: target, rnd: rand.New(rand.NewPCG(seed, seed))}
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

// pump passes on what one end sends.
func (p *proxy) pump(w *wire, from int) {
	defer w.close()
	buf := make([]byte, 16<<10)
	for {
		n, err := w.ends[from].Read(buf)
		if held := w.stall[from].Swap(0); held > 0 {
			t := time.NewTimer(time.Duration(held))
			select {
			case <-t.C:
			case <-w.gone:
			}
			t.Stop()
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
		w.stall[from].Store(p.rnd.Int64N(int64(2 * time.Second)))
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
