package hubtest

import (
	"errors"
	"sync"
	"time"

	"github.com/alkdev/hubspoke/transport"
)

// conn is one end of a connection on a wire: an end of a Pipe, of which what is
// read has to pass the wire's gate first.
type conn struct {
	transport.Conn
	in, out *gate         // of what this end reads, and writes
	gone    chan struct{} // closed when this end is not to be held up any more
	release func()        // closes gone, once

	incoming *times // when was sent what this end reads
	outgoing *times

	mu      sync.Mutex // guards the fields below
	last    time.Time
	pinging bool
	wg      sync.WaitGroup // of the pings that are under way
}

// times is when the messages were sent that have not been read.
type times struct {
	mu   sync.Mutex
	sent []time.Time // guarded by mu
}

func (s *times) push(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		s.sent = append(s.sent, time.Now())
	}
}

func (s *times) pop() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.sent[0]
	s.sent = s.sent[1:]
	return t
}

var errCut = errors.New("cut")

func newConn(c transport.Conn, in, out *gate, incoming, outgoing *times) *conn {
	gone := make(chan struct{})
	return &conn{Conn: c, in: in, out: out, incoming: incoming, outgoing: outgoing, last: time.Now(),
		gone: gone, release: sync.OnceFunc(func() { close(gone) })}
}

// Read gives what has passed the gate. After a Close or an Abort of this end
// nothing is held up any more.
func (c *conn) Read() ([]byte, error) {
	data, err := c.Conn.Read()
	if err != nil {
		c.in.pass(time.Now(), c.gone)
		c.release()
		c.wg.Wait()
		return nil, err
	}
	if !c.in.pass(c.incoming.pop(), c.gone) {
		return c.afterRelease()
	}
	c.received()
	return data, nil
}

// afterRelease reads on to the end: this end has closed, or the wire was cut.
func (c *conn) afterRelease() ([]byte, error) {
	for {
		if _, err := c.Conn.Read(); err != nil {
			c.wg.Wait()
			return nil, err
		}
	}
}

func (c *conn) received() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = time.Now()
}

func (c *conn) Write(frames [][]byte) error {
	c.outgoing.push(len(frames))
	return c.Conn.Write(frames)
}

// TryRead and TryWrite leave everything to Read and Write, which wait for the gate.
func (c *conn) TryRead() ([]byte, bool, error) { return nil, false, nil }
func (c *conn) TryWrite([][]byte) bool         { return false }

func (c *conn) Close(code transport.CloseCode, reason string) {
	c.Conn.Close(code, reason)
	c.release()
}

func (c *conn) Abort() {
	c.Conn.Abort()
	c.release()
}

func (c *conn) LastReceived() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

// Ping goes through the gates of both directions, like its answer.
func (c *conn) Ping() error {
	if err := c.Conn.Ping(); err != nil { // reports only whether it could be sent
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.gone:
		return errCut
	default:
	}
	if c.pinging {
		return nil
	}
	c.pinging = true
	c.wg.Go(func() {
		if c.out.pass(time.Now(), c.gone) && c.in.pass(time.Now(), c.gone) {
			c.received()
		}
		c.mu.Lock()
		c.pinging = false
		c.mu.Unlock()
	})
	return nil
}
