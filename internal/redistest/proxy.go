package redistest

import (
	"bytes"
	"net"
	"sync"
	"testing"
	"time"
)

// Direction is one of the two ways through a [Proxy].
type Direction int

// The two directions.
const (
	ToServer Direction = iota
	ToClient
)

// remembered is how much of what a client has sent a proxy keeps, to tell
// connections apart.
const remembered = 64 << 10

// Proxy is a TCP proxy in front of a server, with faults to order. Its methods
// may be called concurrently.
type Proxy struct {
	listener net.Listener
	target   string
	wg       sync.WaitGroup

	mu      sync.Mutex // guards the fields below
	changed chan struct{}
	closed  bool
	refuse  bool
	delay   time.Duration
	stalled [2]bool // every connection, by direction
	pipes   map[*pipe]struct{}
}

// NewProxy starts a proxy in front of addr. It ends with the test.
func NewProxy(t testing.TB, addr string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{
		listener: l, target: addr, changed: make(chan struct{}), pipes: make(map[*pipe]struct{}),
	}
	p.wg.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// Addr is where the proxy listens.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Stall holds back what goes in one direction, on the connections there are now
// whose client has sent the text; the empty text means all of them. They stay open, as a
// half-open connection does. New connections are served. It returns how many it found.
func (p *Proxy) Stall(d Direction, sent string) int {
	found := 0
	p.change(func() {
		for pipe := range p.pipes {
			if bytes.Contains(pipe.sent.Bytes(), []byte(sent)) {
				pipe.stalled[d] = true
				found++
			}
		}
	})
	return found
}

// StallAll holds back what goes in one direction, on new connections too.
func (p *Proxy) StallAll(d Direction) { p.change(func() { p.stalled[d] = true }) }

// Delay holds everything back for a time, in both directions.
func (p *Proxy) Delay(d time.Duration) { p.change(func() { p.delay = d }) }

// Cut closes all connections. New ones are served.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for pipe := range p.pipes {
		pipe.close()
	}
}

// Refuse closes all connections, and new ones at once, until Heal.
func (p *Proxy) Refuse() {
	p.change(func() { p.refuse = true })
	p.Cut()
}

// Heal takes all faults back. What was held back goes on.
func (p *Proxy) Heal() {
	p.change(func() {
		p.refuse, p.delay, p.stalled = false, 0, [2]bool{}
		for pipe := range p.pipes {
			pipe.stalled = [2]bool{}
		}
	})
}

// Connections is how many connections are open.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.pipes)
}

func (p *Proxy) change(fn func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fn()
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *Proxy) close() {
	p.change(func() { p.closed = true })
	_ = p.listener.Close()
	p.Cut()
	p.wg.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.serve(client)
	}
}

func (p *Proxy) serve(client net.Conn) {
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		_ = client.Close()
		return
	}
	pipe := &pipe{proxy: p, client: client, server: server, ended: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.refuse {
		pipe.close()
		return
	}
	p.pipes[pipe] = struct{}{}
	p.wg.Go(func() { pipe.copy(ToServer, client, server) })
	p.wg.Go(func() { pipe.copy(ToClient, server, client) })
}

// pipe is one connection through the proxy.
type pipe struct {
	proxy          *Proxy
	client, server net.Conn
	once           sync.Once
	ended          chan struct{}

	// Guarded by proxy.mu.
	sent    bytes.Buffer
	stalled [2]bool
}

func (c *pipe) close() {
	c.once.Do(func() {
		close(c.ended)
		_ = c.client.Close()
		_ = c.server.Close()
	})
}

func (c *pipe) copy(d Direction, from, to net.Conn) {
	defer func() {
		c.close()
		c.proxy.mu.Lock()
		delete(c.proxy.pipes, c)
		c.proxy.mu.Unlock()
	}()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			c.remember(d, buf[:n])
			if !c.wait(d) {
				return
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (c *pipe) remember(d Direction, b []byte) {
	if d != ToServer {
		return
	}
	c.proxy.mu.Lock()
	defer c.proxy.mu.Unlock()
	if over := c.sent.Len() + len(b) - remembered; over > 0 {
		c.sent.Next(min(over, c.sent.Len()))
	}
	c.sent.Write(b)
}

// wait returns when what was read may go on, false when it never may.
func (c *pipe) wait(d Direction) bool {
	p := c.proxy
	delayed := false
	for {
		p.mu.Lock()
		stalled := p.stalled[d] || c.stalled[d]
		delay, changed := p.delay, p.changed
		p.mu.Unlock()
		var timer <-chan time.Time
		switch {
		case stalled:
		case delay > 0 && !delayed:
			timer = time.After(delay)
		default:
			return true
		}
		select {
		case <-changed:
		case <-timer:
			delayed = true
		case <-c.ended:
			return false
		}
	}
}
