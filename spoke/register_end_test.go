package spoke_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/spoke"
	"github.com/alkdev/hubspoke/transport"
)

// A spoke that ends while its registration is unanswered closes with 4008, since the hub may have taken the
// registration; one whose time has expired drops the connection, and retries.
func TestUnansweredRegistration(t *testing.T) {
	for name, c := range map[string]struct {
		leave func(s *spoke.Spoke, cancel func())
		left  bool
	}{
		"Run's context":    {func(_ *spoke.Spoke, cancel func()) { cancel() }, true},
		"Shutdown":         {func(s *spoke.Spoke, _ func()) { _ = s.Shutdown(context.Background()) }, true},
		"HandshakeTimeout": {func(*spoke.Spoke, func()) {}, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				h := make(rawHub, 1000)
				s, err := spoke.New("ws://raw.test/", &spoke.Options{ID: "a", Dialer: h, HandshakeTimeout: time.Second})
				must(t, err)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				ran := make(chan error, 1)
				go func() { ran <- s.Run(ctx) }()
				conn := <-h
				if _, err := conn.Read(); err != nil {
					t.Fatal(err)
				}
				go c.leave(s, cancel)
				_, err = conn.Read()
				ce, ok := errors.AsType[*transport.CloseError](err)
				if left := ok && ce.Remote && ce.Code == transport.CloseLeft; left != c.left || !c.left && !errors.Is(err, transport.ErrLost) {
					t.Errorf("the connection ended with %v", err)
				}
				conn.Abort()
				if !c.left {
					later(30 * time.Second)
					if len(h) == 0 {
						t.Error("the spoke has not retried")
					}
				}
				cancel()
				<-ran
			})
		})
	}
}

// slowHub is a hub whose connections are made when the test allows it.
type slowHub struct {
	rawHub
	dialed, proceed chan struct{}
}

func (h slowHub) Dial(ctx context.Context, url string, header http.Header) (transport.Conn, error) {
	h.dialed <- struct{}{}
	<-h.proceed
	return h.rawHub.Dial(ctx, url, header)
}

// A spoke that is shut down while it dials sends no registration on the connection that it then gets.
func TestShutdownWhileDialing(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := slowHub{make(rawHub, 1), make(chan struct{}, 1), make(chan struct{})}
		s, err := spoke.New("ws://raw.test/", &spoke.Options{ID: "a", Dialer: h})
		must(t, err)
		ran := make(chan error, 1)
		go func() { ran <- s.Run(t.Context()) }()
		<-h.dialed
		done := make(chan error, 1)
		go func() { done <- s.Shutdown(context.Background()) }()
		synctest.Wait()
		close(h.proceed)
		conn := <-h.rawHub
		if frame, err := conn.Read(); err == nil {
			t.Errorf("the spoke sent %s", frame)
		}
		conn.Abort()
		must(t, <-done)
		must(t, <-ran)
	})
}

// answer answers the registration of a spoke with members that replace those of a hub's usual answer.
func (h rawHub) answer(t *testing.T, members string) transport.Conn {
	t.Helper()
	conn := <-h
	if _, err := conn.Read(); err != nil {
		t.Fatal(err)
	}
	must(t, conn.Write([][]byte{fmt.Appendf(nil, `{"type":"call.responded","payload":{"requestId":"register","output":{`+
		`"hubId":"raw","spokeId":"a","connectionId":"c","generation":1,%s}}}`, members)}))
	return conn
}

// A hub that names no heartbeat interval, or 0, is left after 25 s and the timeout; one that names
// the shortest is left after that.
func TestSilentHubWithoutAnInterval(t *testing.T) {
	for members, interval := range map[string]time.Duration{
		`"session":null`:                            25 * time.Second,
		`"heartbeatInterval":0`:                     25 * time.Second,
		`"heartbeatInterval":1,"maxMessageBytes":0`: time.Millisecond,
	} {
		t.Run(members, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				h := make(rawHub, 1000)
				s, err := spoke.New("ws://raw.test/", &spoke.Options{ID: "a", Dialer: h, HeartbeatTimeout: 10 * time.Second})
				must(t, err)
				ctx, cancel := context.WithCancel(t.Context())
				ran := make(chan error, 1)
				go func() { ran <- s.Run(ctx) }()
				conn := h.answer(t, members)
				start := time.Now()
				for err == nil {
					_, err = conn.Read()
				}
				if took, want := time.Since(start), interval+10*time.Second; took < want || took >= want+time.Second {
					t.Errorf("left after %v, want %v", took, want)
				}
				cancel()
				conn.Abort()
				<-ran
			})
		})
	}
}

// The smallest limits of a hub hold, and 0 is unknown: the spoke then leaves the decision to the hub.
func TestLimitsOfTheRegistration(t *testing.T) {
	for members, c := range map[string]struct {
		added  int // operations that fit beside the first
		option string
	}{
		`"maxOperations":1`:                          {0, "hub.Options.MaxOperations"},
		`"maxOperations":3`:                          {2, "hub.Options.MaxOperations"},
		`"maxOperations":0,"maxRegistrationBytes":0`: {20, ""},
		`"maxRegistrationBytes":1`:                   {0, "hub.Options.MaxRegistrationBytes"},
	} {
		t.Run(members, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				h := make(rawHub, 1)
				s, err := spoke.New("ws://raw.test/", &spoke.Options{ID: "a", Dialer: h})
				must(t, err)
				must(t, call.Handle(s.Operations(), call.Operation{Name: "a.first"}, answerID))
				ctx, cancel := context.WithCancel(t.Context())
				ran := make(chan error, 1)
				go func() { ran <- s.Run(ctx) }()
				conn := h.answer(t, members+`,"heartbeatInterval":25000`)
				must(t, s.Ready(t.Context()))
				for i := range 20 {
					err := call.Handle(s.Operations(), call.Operation{Name: fmt.Sprint("a.op", i)}, answerID)
					switch {
					case i < c.added:
						must(t, err)
					case !errors.Is(err, call.ErrRegistryFull) || !strings.Contains(err.Error(), c.option):
						t.Errorf("operation %d: %v", i, err)
					}
				}
				cancel()
				conn.Abort()
				<-ran
			})
		})
	}
}

// The error of a call that gets no connection reports that, and why there is none.
func TestCallWithoutAConnection(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(ctx context.Context) (context.Context, context.CancelFunc)
		opts []call.Option
		code call.Code
		want string
	}{
		"the call's timeout": {context.WithCancel, []call.Option{call.Timeout(5 * time.Second)}, call.CodeTimeout, "no connection to a hub in the call's time"},
		"the context's deadline": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 5*time.Second)
		}, nil, call.CodeTimeout, "no connection to a hub in the call's time"},
		"canceled": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(5*time.Second, cancel)
			return ctx, cancel
		}, nil, call.CodeAborted, "the caller's context was canceled while there was no connection to a hub"},
	} {
		for _, dialed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, dialed %v", name, dialed), func(t *testing.T) {
				bubble.Test(t, func(t *testing.T) {
					m := newMiddle(t)
					m.fail(own, errors.New("no route"))
					s, err := spoke.New(own, &spoke.Options{ID: "a", Dialer: m})
					must(t, err)
					want := c.want
					if dialed {
						running, cancel := context.WithCancel(t.Context())
						ran := make(chan error, 1)
						go func() { ran <- s.Run(running) }()
						defer func() { cancel(); <-ran }()
						later(time.Second)
						want += ": " + s.LastError().Error()
					}
					ctx, cancel := c.end(t.Context())
					defer cancel()
					begin := time.Now()
					_, err = call.Invoke[any](ctx, s, "test.any", nil, c.opts...)
					if took := time.Since(begin); took != 5*time.Second {
						t.Errorf("after %v", took)
					}
					wantError(t, err, c.code, false)
					if e, ok := errors.AsType[*call.Error](err); !ok || e.Message != want {
						t.Errorf("%v, want the message %q", err, want)
					}
				})
			})
		}
	}
}

// A session whose window has expired is dropped before the next registration is answered: the error of a Listen that
// then gets no connection in its time reports that the spoke is not registered, and why.
func TestListenAfterTheWindow(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := make(rawHub)
		s, err := spoke.New("ws://raw.test/", &spoke.Options{ID: "a", Dialer: h, HandshakeTimeout: time.Minute})
		must(t, err)
		running, cancel := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		go func() { ran <- s.Run(running) }()
		first, _ := h.accept(t, `{"id":"one","received":0,"window":1000}`)
		must(t, s.Ready(t.Context()))
		first.Abort()
		later(10 * time.Second) // the dial is not answered
		second := <-h
		_, err = second.Read()
		must(t, err)
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		_, err = s.Events().Listen(ctx, "topic", func(pubsub.Event) {})
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, transport.ErrLost) {
			t.Errorf("Listen: %v", err)
		}
		cancel()
		second.Abort()
		<-ran
	})
}
