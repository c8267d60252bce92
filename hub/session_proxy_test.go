package hub_test

import (
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// cuttingProxy is a TCP proxy whose connections break after a random number of bytes in either
// direction: in the HTTP handshake, in the registration, in the middle of a frame. The bytes up to there pass. Each
// side sees the end at a time of its own, as an end of file or as a reset. Before that it stalls now and then.
type cuttingProxy struct {
	listener net.Listener
	target   string
	cuts     atomic.Int64
	heal     atomic.Bool // new connections hold
	wg       sync.WaitGroup

	mu   sync.Mutex // guards the fields below
	rnd  *rand.Rand
	live map[*cutLink]struct{}
}

func newCuttingProxy(t *testing.T, target string, seed int) *cuttingProxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &cuttingProxy{listener: l, target: target, rnd: rand.New(rand.NewPCG(uint64(seed), 7)), live: map[*cutLink]struct{}{}}
	p.heal.Store(true)
	p.wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			p.join(client)
		}
	})
	return p
}

func (p *cuttingProxy) url() string { return "http://" + p.listener.Addr().String() }

func (p *cuttingProxy) random(n int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rnd.IntN(n)
}

// start lets all connections break from now on.
func (p *cuttingProxy) start() {
	p.heal.Store(false)
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.live {
		l.left[0].Store(1)
	}
}

func (p *cuttingProxy) close() {
	_ = p.listener.Close()
	p.mu.Lock()
	for l := range p.live {
		_ = l.ends[0].Close()
		_ = l.ends[1].Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

func (p *cuttingProxy) join(client net.Conn) {
	hub, err := net.Dial("tcp", p.target)
	if err != nil {
		_ = client.Close()
		return
	}
	l := &cutLink{proxy: p, ends: [2]net.Conn{client, hub}}
	for i := range l.left {
		l.left[i].Store(1 << 60)
	}
	if !p.heal.Load() {
		most := []int{400, 1200, 4000, 40_000}[p.random(4)]
		l.left[p.random(2)].Store(int64(p.random(most)))
	}
	p.mu.Lock()
	p.live[l] = struct{}{}
	p.mu.Unlock()
	var copies sync.WaitGroup
	copies.Go(func() { l.copy(0) })
	copies.Go(func() { l.copy(1) })
	p.wg.Go(func() {
		copies.Wait()
		p.mu.Lock()
		delete(p.live, l)
		p.mu.Unlock()
	})
}

// cutLink is one connection through the proxy.
type cutLink struct {
	proxy  *cuttingProxy
	ends   [2]net.Conn
	left   [2]atomic.Int64 // bytes that still pass from this end to the other
	broken atomic.Bool
}

func (l *cutLink) copy(from int) {
	buf := make([]byte, 16<<10)
	for {
		n, err := l.ends[from].Read(buf)
		pass := max(min(int64(n), l.left[from].Add(-int64(n))+int64(n)), 0)
		if l.proxy.random(50) == 0 && !l.proxy.heal.Load() {
			<-time.After(time.Duration(l.proxy.random(20)) * time.Millisecond) // a stall
		}
		if pass > 0 && !l.broken.Load() {
			if _, werr := l.ends[1-from].Write(buf[:pass]); werr != nil {
				err = werr
			}
		}
		if pass < int64(n) {
			l.cut()
			_, _ = io.Copy(io.Discard, l.ends[from]) // half-open, until this side is told
			return
		}
		if err != nil { // whoever closes a connection closes it on the other side as well
			l.close(0, 1)
			return
		}
	}
}

// cut ends both sides, each after a time of its own.
func (l *cutLink) cut() {
	if l.broken.Swap(true) {
		return
	}
	l.proxy.cuts.Add(1)
	for i := range l.ends {
		after := time.Duration(l.proxy.random(2)*l.proxy.random(30)) * time.Millisecond
		l.proxy.wg.Go(func() {
			<-time.After(after)
			l.close(i)
		})
	}
}

func (l *cutLink) close(which ...int) {
	for _, i := range which {
		if c, ok := l.ends[i].(*net.TCPConn); ok && l.proxy.random(2) == 0 {
			_ = c.SetLinger(0)
		}
		_ = l.ends[i].Close()
	}
}
