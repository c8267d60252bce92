package transport

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// webSocket is a Conn on a WebSocket, after its handshake. It encodes and decodes frames (RFC 6455 section 5)
// on top of TLS, not beneath it: a TLS connection has one lock for all its writes, which a write that
// does not return would hold.
//
// Data frames are written many at a time. Control frames never wait: they are queued, and leave between data
// frames or on a goroutine that exists while there are any. So a write that waits does not hold up the
// reader, which answers pings. After a close frame nothing more is written.
type webSocket struct {
	// Fixed at construction.
	stream io.ReadWriteCloser // where frames are read and written; its writes keep the write timeout
	conn   net.Conn           // stream without its timeout; nil for an HTTP body
	plain  *pacedConn         // stream, if it is a socket of the system: neither TLS nor anything else lies between
	peeks  bool               // stream is TLS on a socket, so that peek works
	client bool               // frames are masked
	limits limits
	remote string
	seen   lifeSign // bytes were received
	taken  lifeSign // the system accepted bytes

	reader reader     // used by the goroutine that calls Read
	keys   *keySource // used by the goroutine that writes messages

	writers sync.WaitGroup // the goroutines that write
	over    atomic.Bool    // Close was called or the connection has ended: messages are discarded

	mu      sync.Mutex  // guards the fields below
	idle    sync.Cond   // writing became false, or the connection has ended
	writing bool        // a goroutine writes, and will write control before it stops
	control []byte      // whole control frames that wait
	closing *CloseError // the close frame that was queued, after which nothing is
	own     bool        // closing began on this side
	linger  *time.Timer
	since   time.Time // when linger was started
	broken  error     // why nothing can be written, while there may be more to read
	end     error     // why the connection has ended
}

// newWebSocket makes a Conn of a connection after its handshake. ahead are bytes that were read behind
// the handshake.
func newWebSocket(conn net.Conn, remote string, client bool, lim limits, ahead []byte) *webSocket {
	s := &webSocket{stream: conn, conn: conn, client: client, limits: lim, remote: remote}
	bottom := lowest(conn)
	switch p, paced := bottom.(*pacedConn); {
	case paced:
		p.seen, p.pace.taken = &s.seen, &s.taken
		if p == conn && p.socket != nil {
			s.plain = p
		}
	default:
		s.stream = &recordConn{Conn: conn, pace: pace{timeout: lim.writeTimeout, taken: &s.taken}}
	}
	s.peeks = bottom != conn && isSocket(bottom)
	s.reader.small = bottom != conn
	s.open(ahead)
	return s
}

// newBodyWebSocket makes a Conn of an HTTP body.
func newBodyWebSocket(body io.ReadWriteCloser, remote string, lim limits) *webSocket {
	s := &webSocket{client: true, limits: lim, remote: remote}
	s.stream = &timedBody{body, lim.writeTimeout, &s.taken}
	s.open(nil)
	return s
}

func (s *webSocket) open(ahead []byte) {
	s.seen.born = time.Now()
	s.taken.born = s.seen.born
	s.idle.L = &s.mu
	if s.client {
		s.keys = &keySource{}
	}
	s.reader.size = readBytes
	s.reader.fill(ahead)
}

func isSocket(conn net.Conn) bool {
	if p, ok := conn.(*pacedConn); ok {
		conn = p.Conn
	}
	switch conn.(type) {
	case *net.TCPConn, *net.UnixConn:
		return true
	}
	return false
}

func (s *webSocket) LastReceived() time.Time { return s.seen.time() }
func (s *webSocket) WholeMessages() bool     { return false }
func (s *webSocket) RemoteAddr() string      { return s.remote }
func (s *webSocket) SetMeter(m Meter)        { s.reader.meter = m }

// lifeSign remembers when something was received last. It can be touched and
// read concurrently; a monotonic distance in one word costs no lock.
type lifeSign struct {
	born time.Time
	last atomic.Int64 // nanoseconds after born
}

func (s *lifeSign) touch()          { s.last.Store(int64(time.Since(s.born))) }
func (s *lifeSign) time() time.Time { return s.born.Add(time.Duration(s.last.Load())) }
