package hub_test

import (
	"context"
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
}

func (l *slowLink) Dial(context.Context, string, http.Header) (transport.Conn, error) {
	l.dials.Add(1)
	a, b := transport.Pipe(&l.pipe)
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
	if err := s.Ready(t.Context()); err != nil {
		t.Fatal(err)
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
			registered(call.Handle(r, "slow.repeat", func(_ context.Context, n int) (string, error) { return strings.Repeat("x", n), nil }))
			registered(call.Handle(r, "slow.length", func(_ context.Context, in string) (int, error) { return len(in), nil }))
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
