package transport_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/transport"
	"github.com/alkdev/hubspoke/transport/transporttest"
)

func TestPipe(t *testing.T) {
	transporttest.TestConn(t, func(*testing.T) (client, server transport.Conn) {
		return transport.Pipe(&transport.PipeOptions{Linger: 50 * time.Millisecond})
	})
}

func TestPipeOfLimitedRate(t *testing.T) {
	transporttest.TestConn(t, func(*testing.T) (client, server transport.Conn) {
		return transport.Pipe(&transport.PipeOptions{Linger: 50 * time.Millisecond, BytesPerSecondToA: 200 << 20, BytesPerSecondToB: 200 << 20})
	})
}

// A message on a slow link takes its time, shows as life while it arrives, and frees the sender's
// buffer while it crosses.
func TestPipeRate(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		a, b := transport.Pipe(&transport.PipeOptions{BytesPerSecondToB: 1000, BufferBytes: 5000})
		start := time.Now()
		done := make(chan time.Duration)
		go func() {
			if err := a.Write([][]byte{[]byte(strings.Repeat("x", 10_000-14))}); err != nil {
				t.Error(err)
			}
			done <- time.Since(start)
		}()
		go func() {
			<-time.After(4 * time.Second)
			if silent := time.Since(b.LastReceived()); silent > 100*time.Millisecond {
				t.Errorf("silent for %v in the middle of a message", silent)
			}
		}()
		if data, err := b.Read(); err != nil || len(data) != 10_000-14 || time.Since(start) != 10*time.Second {
			t.Errorf("%d bytes after %v, %v", len(data), time.Since(start), err)
		}
		if d := <-done; d != 5*time.Second {
			t.Errorf("Write returned after %v", d)
		}
		// One that does not read is sent what its buffer takes, and Write waits then.
		go func() {
			for range 3 {
				if err := a.Write([][]byte{[]byte(strings.Repeat("x", 5000-14))}); err != nil {
					t.Error(err)
				}
			}
			done <- time.Since(start)
		}()
		<-time.After(time.Hour)
		if _, err := b.Read(); err != nil {
			t.Fatal(err)
		}
		if d := <-done; d < time.Hour {
			t.Errorf("Write returned after %v", d)
		}
		a.Abort()
		for range 2 { // what was written before is on its way
			if data, err := b.Read(); err != nil || len(data) != 5000-14 {
				t.Errorf("%d bytes, %v", len(data), err)
			}
		}
		if _, err := b.Read(); !errors.Is(err, transport.ErrLost) {
			t.Error(err)
		}
		b.Abort()
	})
}

func TestPipeBoundsWhatWaits(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		a, b := transport.Pipe(&transport.PipeOptions{BufferBytes: 100})
		written := 0
		go func() {
			for a.Write([][]byte{[]byte(strings.Repeat("x", 36))}) == nil {
				written++
			}
		}()
		synctest.Wait()
		if written != 2 { // 36 and 14 bytes each; the third waits
			t.Errorf("%d writes returned", written)
		}
		if _, err := b.Read(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if written != 3 {
			t.Errorf("%d writes returned after one read", written)
		}
		b.Abort()
		a.Abort()
	})
}

// A Write that waits for room ends with the connection, whichever side ends it and however, though
// nothing is read any more.
func TestPipeEndsABlockedWrite(t *testing.T) {
	for _, rate := range []int{0, 10} {
		for name, c := range map[string]struct {
			end  func(a, b transport.Conn)
			want func(err error) bool
			took time.Duration
		}{
			"abort here":  {func(a, _ transport.Conn) { a.Abort() }, lost, 0},
			"abort there": {func(_, b transport.Conn) { b.Abort() }, lost, 0},
			"close here": {func(a, _ transport.Conn) { a.Close(transport.CloseKicked, "") },
				closedWith(transport.CloseKicked), 200 * time.Millisecond},
			"close there": {func(_, b transport.Conn) { b.Close(transport.CloseKicked, "") }, lost, 200 * time.Millisecond},
		} {
			bubble.Test(t, func(t *testing.T) {
				a, b := transport.Pipe(&transport.PipeOptions{BufferBytes: 100, Linger: 200 * time.Millisecond, BytesPerSecondToB: rate})
				done := make(chan error, 1)
				go func() { done <- a.Write([][]byte{make([]byte, 1000)}) }()
				<-time.After(time.Minute) // with a rate, what the other end takes unread has crossed
				start := time.Now()
				c.end(a, b)
				select {
				case err := <-done:
					if !c.want(err) || time.Since(start) != c.took {
						t.Errorf("%s, rate %d: %v after %v, want %v", name, rate, err, time.Since(start), c.took)
					}
				case <-time.After(time.Second):
					t.Errorf("%s, rate %d: Write waits on", name, rate)
				}
				a.Abort()
				b.Abort()
				if err := a.Write([][]byte{nil}); err == nil {
					t.Errorf("%s, rate %d: a later Write succeeded", name, rate)
				}
				if err := a.Ping(); err == nil {
					t.Errorf("%s, rate %d: a later Ping succeeded", name, rate)
				}
			})
		}
	}
}

func lost(err error) bool { return errors.Is(err, transport.ErrLost) }

func closedWith(code transport.CloseCode) func(error) bool {
	return func(err error) bool {
		ce, ok := errors.AsType[*transport.CloseError](err)
		return ok && ce.Code == code && !ce.Remote
	}
}

// When the other end has ended, Write and Ping are refused before this end has read that.
func TestPipeRefusesAfterTheOtherEnd(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		a, b := transport.Pipe(nil)
		b.Abort()
		if err := a.Write([][]byte{[]byte("x")}); !lost(err) {
			t.Errorf("Write: %v", err)
		}
		if err := a.Ping(); !lost(err) {
			t.Errorf("Ping: %v", err)
		}
		a.Abort()
	})
}

func TestPipeLingersOneSecond(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		a, _ := transport.Pipe(nil)
		start := time.Now()
		a.Close(transport.CloseNormal, "")
		_, err := a.Read()
		if ce, ok := errors.AsType[*transport.CloseError](err); !ok || ce.Remote || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestPipeRefusesBadOptions(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	transport.Pipe(&transport.PipeOptions{BufferBytes: -1})
}
