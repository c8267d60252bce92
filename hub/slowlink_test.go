package hub_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/spoke"
	"github.com/alkdev/hubspoke/transport"
)

// slowLink dials a hub in memory over links of limited rate.
type slowLink struct {
	hub   *hub.Hub
	pipe  transport.PipeOptions
	dials atomic.Int64
	wg    sync.WaitGroup
	last  atomic.Pointer[transport.Conn] // the spoke's end
}

// cut loses the last connection.
func (l *slowLink) cut() { (*l.last.Load()).Abort() }

func (l *slowLink) Dial(context.Context, string, http.Header) (transport.Conn, error) {
	l.dials.Add(1)
	a, b := transport.Pipe(&l.pipe)
	l.last.Store(&a)
	l.wg.Go(func() { l.hub.Accept(b, &call.Identity{ID: call.Anonymous}) })
	return a, nil
}

// slowSpoke joins a hub to a spoke over a slow link. end ends both.
func slowSpoke(t *testing.T, ho *hub.Options, so *spoke.Options, pipe transport.PipeOptions, serve func(*call.Registry)) (*hub.Hub, *spoke.Spoke, *slowLink, func()) {
	t.Helper()
	ho.AllowAnonymous = true
	h, err := hub.New(ho)
	if err != nil {
		t.Fatal(err)
	}
	link := &slowLink{hub: h, pipe: pipe}
	so.ID, so.Dialer = "slow", link
	s, err := spoke.New("ws://hub.test/", so)
	if err != nil {
		t.Fatal(err)
	}
	serve(s.Operations())
	serve(h.Operations())
	ctx, stop := context.WithCancel(t.Context())
	run := make(chan error, 1)
	go func() { run <- s.Run(ctx) }()
	ready, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := s.Ready(ready); err != nil {
		t.Error(err)
	}
	return h, s, link, func() {
		stop()
		<-run
		h.Close()
		if err := h.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		link.wg.Wait()
	}
}

// An answer, and a request, that take longer than the heartbeat on a slow link in either direction cross it on one
// connection. The time counts here, so the messages are small for the link to be slow; the sizes in use
// are in TestMessagesOfFullSizeOnSlowLink.
func TestLargeMessageOnSlowLink(t *testing.T) {
	const rate, size = 1 << 10, 56 << 10
	for _, both := range []bool{false, true} {
		for _, noSession := range []bool{false, true} {
			t.Run(fmt.Sprintf("both %v, no session %v", both, noSession), func(t *testing.T) {
				bubble.Test(t, func(t *testing.T) {
					for _, toHub := range []bool{true, false} {
						pipe := transport.PipeOptions{}
						if toHub || both {
							pipe.BytesPerSecondToB = rate
						}
						if !toHub || both {
							pipe.BytesPerSecondToA = rate
						}
						largeMessages(t, pipe, size, 2, noSession)
					}
				})
			})
		}
	}
}

// An answer of 900 KiB over 16 KiB per second with all defaults, and one of 10 MiB over 2 Mbit per second.
func TestMessagesOfFullSizeOnSlowLink(t *testing.T) {
	for _, c := range []struct {
		rate, size int
		maxMessage int64
	}{
		{rate: 16 << 10, size: 900 << 10},
		{rate: 2_000_000 / 8, size: 10 << 20, maxMessage: 11 << 20},
	} {
		bubble.Test(t, func(t *testing.T) {
			largeMessages(t, transport.PipeOptions{MaxMessageBytes: c.maxMessage, BytesPerSecondToA: c.rate, BytesPerSecondToB: c.rate}, c.size, 1, false)
		})
	}
}

// largeMessages sends them as input and as output, from hub and from spoke.
func largeMessages(t *testing.T, pipe transport.PipeOptions, size, rounds int, noSession bool) {
	h, s, link, end := slowSpoke(t, &hub.Options{MaxMessageBytes: pipe.MaxMessageBytes},
		&spoke.Options{MaxMessageBytes: pipe.MaxMessageBytes, NoSession: noSession}, pipe, func(r *call.Registry) {
			registered(call.Handle(r, call.Operation{Name: "slow.repeat"}, func(_ context.Context, n int) (string, error) { return strings.Repeat("x", n), nil }))
			registered(call.Handle(r, call.Operation{Name: "slow.length"}, func(_ context.Context, in string) (int, error) { return len(in), nil }))
		})
	defer end()
	large := strings.Repeat("x", size)
	for round := range rounds {
		for _, c := range []call.Caller{h, s} {
			to := call.To("slow")
			if c != call.Caller(h) {
				to = call.To("")
			}
			if out, err := call.Invoke[string](t.Context(), c, "slow.repeat", size, to, call.Timeout(10*time.Minute)); err != nil || len(out) != size {
				t.Errorf("round %d: %d bytes, %v", round, len(out), err)
			}
			if out, err := call.Invoke[int](t.Context(), c, "slow.length", large, to, call.Timeout(10*time.Minute)); err != nil || out != size {
				t.Errorf("round %d: %d bytes, %v", round, out, err)
			}
			later(time.Minute)
		}
	}
	if n := link.dials.Load(); n != 1 {
		t.Errorf("%d connections over %+v", n, pipe)
	}
}

// A spoke that handles what it has read for longer than the heartbeat does not take that for the hub's silence, and
// the hub does not take it for the spoke's.
func TestBusyReaderIsNotSilence(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h, s, link, end := slowSpoke(t, &hub.Options{}, &spoke.Options{}, transport.PipeOptions{}, func(*call.Registry) {})
		defer end()
		heard := make(chan time.Time, 10)
		stop, err := s.Events().Listen(t.Context(), "work", func(pubsub.Event) { later(2 * time.Minute); heard <- time.Now() })
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		for range 2 {
			if err := h.Events().Dispatch(t.Context(), pubsub.Event{Topic: "work"}); err != nil {
				t.Fatal(err)
			}
		}
		<-heard
		<-heard
		later(time.Minute)
		if n := link.dials.Load(); n != 1 || s.State() != spoke.Registered {
			t.Errorf("%d connections, %v", n, s.State())
		}
	})
}

// describe registers operations whose descriptions have that many KiB altogether.
func describe(r *call.Registry, kib int) {
	for i := range kib {
		registered(call.Handle(r, call.Operation{Name: fmt.Sprint("slow.op", i), Description: strings.Repeat("x", 920)}, func(context.Context, int) (int, error) { return 0, nil }))
	}
}

// A registration of almost 256 KiB takes longer than HandshakeTimeout over 16 KiB per second. It arrives on the first
// connection, and on the next one, which resumes the session.
func TestLargeRegistrationOnSlowLink(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		rate := transport.PipeOptions{BytesPerSecondToA: 16 << 10, BytesPerSecondToB: 16 << 10}
		h, s, link, end := slowSpoke(t, &hub.Options{SessionWindow: time.Minute}, &spoke.Options{}, rate, func(r *call.Registry) { describe(r, 250) })
		defer end()
		if n := link.dials.Load(); n != 1 {
			t.Errorf("%d connections until the spoke was registered", n)
		}
		link.cut()
		later(time.Minute)
		if n := link.dials.Load(); n != 2 || s.State() != spoke.Registered || s.Stats().Resumed != 1 || h.Stats().Connections != 1 {
			t.Errorf("%d connections, %v, %+v", n, s.State(), s.Stats())
		}
	})
}

// A client that has not registered has HandshakeTimeout, however many whole frames it sends. While its registration is on
// its way, it has as long as the largest registration takes over 16 KiB per second.
func TestTrickleIsNoRegistration(t *testing.T) {
	ping := []byte(`{"type":"__ping","payload":null}`)
	const overhead = 14 // of a message on a pipe
	for name, c := range map[string]struct {
		rate  int
		send  func(write func([]byte) error)
		after time.Duration
	}{
		"silence": {rate: 16, send: func(func([]byte) error) {}, after: 10 * time.Second},
		"pings": {send: func(write func([]byte) error) {
			for write(ping) == nil {
				later(time.Second)
			}
		}, after: 10 * time.Second},
		"pings on a slow link": {rate: len(ping) + overhead, send: func(write func([]byte) error) {
			for write(ping) == nil {
				later(4 * time.Second)
			}
		}, after: 10 * time.Second},
		"a trickle": {rate: 16, send: func(write func([]byte) error) {
			_ = write([]byte(strings.Repeat("x", 1<<10))) // ends with the connection
		}, after: 20 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				h, err := hub.New(&hub.Options{AllowAnonymous: true, HandshakeTimeout: 10 * time.Second, MaxRegistrationBytes: 160 << 10})
				if err != nil {
					t.Fatal(err)
				}
				a, b := transport.Pipe(&transport.PipeOptions{BytesPerSecondToB: c.rate, BufferBytes: 1})
				start := time.Now()
				var wg sync.WaitGroup
				wg.Go(func() { h.Accept(b, &call.Identity{ID: call.Anonymous}) })
				wg.Go(func() { c.send(func(frame []byte) error { return a.Write([][]byte{frame}) }) })
				_, err = a.Read()
				if ce, ok := errors.AsType[*transport.CloseError](err); !ok || ce.Code != transport.CloseNotRegistered || time.Since(start) != c.after {
					t.Errorf("%v after %v, not %v", err, time.Since(start), c.after)
				}
				a.Abort()
				wg.Wait()
				h.Close()
				if err := h.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// An operation that is added while a large answer is on its way over a slow link is registered behind it, once.
func TestOperationAddedOnBusySlowLink(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		rate := transport.PipeOptions{BytesPerSecondToA: 16 << 10, BytesPerSecondToB: 16 << 10}
		h, s, link, end := slowSpoke(t, &hub.Options{}, &spoke.Options{}, rate, func(r *call.Registry) {
			registered(call.Handle(r, call.Operation{Name: "slow.repeat"}, func(_ context.Context, n int) (string, error) { return strings.Repeat("x", n), nil }))
		})
		defer end()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := call.Invoke[string](t.Context(), h, "slow.repeat", 900<<10, call.To("slow"), call.Timeout(2*time.Minute)); err != nil {
				t.Error(err)
			}
		})
		later(time.Second)
		before := s.Stats().Calls
		registered(call.Handle(s.Operations(), call.Operation{Name: "slow.late"}, func(context.Context, int) (int, error) { return 7, nil }))
		wg.Wait()
		later(5 * time.Second)
		if n := s.Stats().Calls - before; n != 1 || link.dials.Load() != 1 {
			t.Errorf("registered %d times, over %d connections", n, link.dials.Load())
		}
		if n, err := call.Invoke[int](t.Context(), h, "slow.late", 1); err != nil || n != 7 {
			t.Errorf("%d, %v", n, err)
		}
	})
}
