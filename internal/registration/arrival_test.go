package registration

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/transport"
)

// unfinished is a connection that receives bytes of a message which never ends.
type unfinished struct {
	transport.Conn
	last   atomic.Pointer[time.Time]
	closed chan transport.CloseCode
}

func (c *unfinished) Close(code transport.CloseCode, _ string) { c.closed <- code }

func (c *unfinished) LastReceived() time.Time { return *c.last.Load() }

func (c *unfinished) received() {
	now := time.Now()
	c.last.Store(&now)
}

// A registration that stops on its way has the timeout from its last byte; one that arrives slowly has what the largest
// takes.
func TestArrivalOfUnfinishedRegistration(t *testing.T) {
	for _, c := range []struct{ began, stopped, want time.Duration }{
		{0, 0, 10 * time.Second}, // nothing came
		{time.Second, 9 * time.Second, 19 * time.Second},
		{9 * time.Second, 12 * time.Second, 22 * time.Second},
		{11 * time.Second, time.Minute, 10 * time.Second}, // it began too late
		{time.Second, time.Minute, 26 * time.Second},
	} {
		bubble.Test(t, func(t *testing.T) {
			start := time.Now()
			conn := &unfinished{closed: make(chan transport.CloseCode, 1)}
			conn.received()
			defer startArrival(conn, Limits{Bytes: 256 << 10, Timeout: 10 * time.Second}).stop()
			for {
				select {
				case code := <-conn.closed:
					if d := time.Since(start); d.Truncate(time.Second) != c.want || code != transport.CloseNotRegistered {
						t.Errorf("%+v: closed with %v after %v", c, code, d)
					}
					return
				case <-time.After(100 * time.Millisecond):
				}
				if d := time.Since(start); d >= c.began && d <= c.stopped && c.stopped > 0 {
					conn.received()
				}
			}
		})
	}
}

// Nothing is late once the registration has been read, nor without a timeout.
func TestArrivalInTime(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		a, b := transport.Pipe(nil)
		limits := Limits{Timeout: time.Second}
		go func() { _, _ = Register(a, &wire.Registration{}, nil) }() // ends with the connection
		if _, _, err := Read(b, limits); err != nil {
			t.Error(err)
		}
		<-time.After(time.Minute)
		if err := b.Write([][]byte{[]byte("open")}); err != nil {
			t.Errorf("the connection is closed: %v", err)
		}
		go func() {
			<-time.After(time.Hour)
			b.Abort()
			a.Abort()
		}()
		if _, _, err := Read(b, Limits{}); !errors.Is(err, transport.ErrLost) {
			t.Error(err)
		}
	})
}
