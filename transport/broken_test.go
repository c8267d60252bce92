package transport_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/transport"
)

// halfConn is a connection that can only be read once it is broken.
type halfConn struct {
	net.Conn
	broken atomic.Bool
}

var errHalf = errors.New("only half of it is left")

func (c *halfConn) Write(b []byte) (int, error) {
	if c.broken.Load() {
		return 0, errHalf
	}
	return c.Conn.Write(b)
}

// When a write has failed, nothing can be written any more, and the reader still gets what the other side has
// sent, for the linger time.
func TestBrokenWrite(t *testing.T) {
	const linger = 2 * time.Second
	for name, c := range map[string]struct {
		end    func(near, far transport.Conn)
		frames int
		code   transport.CloseCode // 0: lost
		remote bool
		batch  [][]byte // what is written first; nil: one short message
	}{
		"the other side sends nothing": {end: func(transport.Conn, transport.Conn) {}},
		"the other side sends":         {end: func(_, far transport.Conn) { _ = far.Write([][]byte{[]byte("1"), []byte("2")}) }, frames: 2},
		"the other side closes": {end: func(_, far transport.Conn) {
			_ = far.Write([][]byte{[]byte("1")})
			far.Close(4001, "why")
		}, frames: 1, code: 4001, remote: true},
		"closed":          {end: func(near, _ transport.Conn) { near.Close(4002, "why") }, code: 4002},
		"aborted":         {end: func(near, _ transport.Conn) { near.Abort() }},
		"many messages":   {end: func(near, _ transport.Conn) { near.Abort() }, batch: slices.Repeat([][]byte{[]byte("some text")}, 10_000)},
		"a large message": {end: func(near, _ transport.Conn) { near.Abort() }, batch: [][]byte{make([]byte, 1<<20), []byte("x")}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, false, nil)
			half := &halfConn{}
			near, err := (&transport.WebSocketDialer{Linger: linger, Client: &http.Client{Transport: &http.Transport{
				DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
					var err error
					half.Conn, err = new(net.Dialer).DialContext(ctx, network, addr)
					return half, err
				},
			}}}).Dial(t.Context(), s.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer near.Abort()
			far := <-s.accepted
			half.broken.Store(true)
			begin := time.Now()
			batch := c.batch
			if batch == nil {
				batch = [][]byte{[]byte("x")}
			}
			for range 2 {
				if err := near.Write(batch); !errors.Is(err, transport.ErrLost) || !errors.Is(err, errHalf) {
					t.Errorf("Write: %v", err)
				}
				if err := near.Ping(); !errors.Is(err, transport.ErrLost) || !errors.Is(err, errHalf) {
					t.Errorf("Ping: %v", err)
				}
			}
			c.end(near, far)
			for range c.frames {
				if _, err := near.Read(); err != nil {
					t.Fatal(err)
				}
			}
			_, err = near.Read()
			took := time.Since(begin)
			ce, ok := errors.AsType[*transport.CloseError](err)
			if c.code == 0 && !errors.Is(err, transport.ErrLost) || c.code != 0 && (!ok || ce.Code != c.code || ce.Remote != c.remote) {
				t.Errorf("Read: %v", err)
			}
			if waits := name == "the other side sends nothing" || name == "the other side sends"; waits && took < linger {
				t.Errorf("the reader waited only %v", took)
			}
			if err := near.Write([][]byte{[]byte("x")}); err == nil {
				t.Error("Write succeeded")
			}
			if err := near.Ping(); err == nil {
				t.Error("Ping succeeded")
			}
		})
	}
}
