package spoke_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/spoke"
	"github.com/alkdev/hubspoke/transport"
)

// Behind a balancer that leads to another hub each time, the session is found by the URL that its hub has named.
func TestSessionURL(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		m := newMiddle(t)
		h := m.hub(own, hub.Options{URL: "ws://one.test/"})
		m.route("ws://one.test/", h)
		threeSeconds(h.Operations())
		s, _ := m.spoke("a", spoke.Options{}, nil)
		m.hub(own, hub.Options{URL: "ws://two.test/"}) // where the balancer leads from now on
		up := make(chan error, 1)
		go func() { _, err := call.Invoke[int](t.Context(), s, "test.slow", 1); up <- err }()
		later(time.Second)
		m.cut()
		if err := <-up; err != nil {
			t.Error(err)
		}
		if got := m.dials(); !slices.Equal(got, []string{own, "ws://one.test/"}) || s.Stats().Resumed != 1 {
			t.Errorf("dialed %v, %+v", got, s.Stats())
		}
	})
}

// Dials alternate between the named URL and the spoke's own, in turn, until the window expires; then only its own.
func TestDialsAlternate(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		m := newMiddle(t)
		h := m.hub(own, hub.Options{URL: "ws://named.test/"})
		s, _ := m.spoke("a", spoke.Options{URLs: []string{"ws://second.test/"}, BackoffMin: time.Second, BackoffMax: time.Second}, nil)
		m.route("ws://named.test/", h)
		for _, url := range []string{own, "ws://named.test/", "ws://second.test/"} {
			m.fail(url, errors.New("no route"))
		}
		m.cut()
		later(time.Minute)
		want := []string{own, "ws://named.test/", own, "ws://named.test/", "ws://second.test/", "ws://named.test/", own}
		got := m.dials()
		if len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
			t.Errorf("dialed %v", got)
		}
		tail := got[len(got)-10:]
		if slices.Contains(tail, "ws://named.test/") {
			t.Errorf("after the window: %v", tail)
		}
		m.fail(own, nil)
		later(3 * time.Second)
		if st := s.Stats(); st.State != "registered" || st.Resumed != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// namedHub is a hub that names a URL, and what its spoke then dials.
type namedHub struct {
	*middle
	answer func(url string) (transport.Conn, error) // for other URLs than the spoke's own; nil: the route
}

func (n namedHub) Dial(ctx context.Context, url string, header http.Header) (transport.Conn, error) {
	if url != own && url != "wss://own.test/" && n.answer != nil {
		n.mu.Lock()
		n.dialed = append(n.dialed, url)
		n.mu.Unlock()
		return n.answer(url)
	}
	return n.middle.Dial(ctx, url, header)
}

// refusing answers a registration with an error, and closes unless code is 0.
func refusing(details string, code transport.CloseCode) (transport.Conn, error) {
	near, far := transport.Pipe(nil)
	go func() {
		if _, err := far.Read(); err != nil {
			return
		}
		_ = far.Write([][]byte{fmt.Appendf(nil, `{"type":"call.error","payload":{"requestId":"register","code":"UNAVAILABLE","message":"no","retryable":true,"details":%s}}`, details)})
		if code != 0 {
			far.Close(code, "no")
		}
		for {
			if _, err := far.Read(); err != nil {
				return
			}
		}
	}()
	return near, nil
}

// What a hub at a named URL answers, and what the spoke then does. The hub at its own URL still has the session.
func TestAnswersAtANamedURL(t *testing.T) {
	moved := func(to string) string { return fmt.Sprintf(`{"sent":false,"url":%q}`, to) }
	for name, c := range map[string]struct {
		first  string // the URL of the spoke, and scheme of what its hub names
		named  string
		answer func(url string) (transport.Conn, error)
		want   []string // dials after the first
		resume uint64
		fatal  bool
	}{
		"lost before the answer": {own, "ws://n.test/", func(string) (transport.Conn, error) { return nil, errors.New("cut") },
			[]string{"ws://n.test/", own}, 1, false},
		"401 drops the session": {own, "ws://n.test/", func(string) (transport.Conn, error) { return nil, &transport.HandshakeError{Status: 401} },
			[]string{"ws://n.test/", own}, 0, false},
		"4501 drops the session": {own, "ws://n.test/", func(string) (transport.Conn, error) { return refusing("null", 4501) },
			[]string{"ws://n.test/", own}, 0, false},
		"4500 drops the session": {own, "ws://n.test/", func(string) (transport.Conn, error) { return refusing("null", 4500) },
			[]string{"ws://n.test/", own}, 0, false},
		"4502 is final": {own, "ws://n.test/", func(string) (transport.Conn, error) { return refusing("null", 4502) },
			[]string{"ws://n.test/"}, 0, true},
		"4503 is final": {own, "ws://n.test/", func(string) (transport.Conn, error) { return refusing("null", 4503) },
			[]string{"ws://n.test/"}, 0, true},
		"4007 is followed, once": {own, "ws://n.test/", func(string) (transport.Conn, error) { return refusing(moved("ws://m.test/"), 4007) },
			[]string{"ws://n.test/", "ws://m.test/", own}, 0, false},
		"4007 without a URL": {own, "ws://n.test/", func(string) (transport.Conn, error) { return refusing("null", 4007) },
			[]string{"ws://n.test/", own}, 0, false},
		"4007 with another scheme": {own, "ws://n.test/", func(string) (transport.Conn, error) { return refusing(moved("ftp://m.test/"), 4007) },
			[]string{"ws://n.test/", own}, 0, false},
		"never from wss to ws": {"wss://own.test/", "ws://n.test/", nil, []string{"wss://own.test/"}, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				m := newMiddle(t)
				m.hub(c.first, hub.Options{URL: c.named})
				s, err := spoke.New(c.first, &spoke.Options{ID: "a", Dialer: namedHub{m, c.answer}, BackoffMin: time.Millisecond})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				ran := make(chan error, 1)
				go func() { ran <- s.Run(ctx) }()
				if err := s.Ready(t.Context()); err != nil {
					t.Fatal(err)
				}
				m.cut()
				later(5 * time.Second)
				if got := m.dials()[1:]; !slices.Equal(got, c.want) {
					t.Errorf("dialed %v, want %v", got, c.want)
				}
				st := s.Stats()
				if st.Resumed != c.resume || (st.State == "stopped") != c.fatal {
					t.Errorf("%+v", st)
				}
				cancel()
				if err := <-ran; c.fatal && errors.Is(err, context.Canceled) {
					t.Errorf("Run: %v", err)
				}
			})
		})
	}
}

// A spoke may ask for a shorter window than the hub's.
func TestShorterWindow(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		m := newMiddle(t)
		h := m.hub(own, hub.Options{})
		_, _ = m.spoke("short", spoke.Options{SessionWindow: 3 * time.Second}, nil)
		m.fail(own, errors.New("no route"))
		m.cut()
		later(2900 * time.Millisecond)
		if st := h.Stats(); st.Spokes != 1 {
			t.Errorf("%d spokes before the window expires", st.Spokes)
		}
		later(200 * time.Millisecond)
		if st := h.Stats(); st.Spokes != 0 {
			t.Errorf("%d spokes after it", st.Spokes)
		}
		m.fail(own, nil)
	})
}

// refusingOnce answers dials to the spoke's own URL after the first one, as long as it has answers, in place of the hub.
type refusingOnce struct {
	*middle
	answers *[]transport.CloseCode
}

func (r refusingOnce) Dial(ctx context.Context, url string, header http.Header) (transport.Conn, error) {
	r.mu.Lock()
	var code transport.CloseCode
	if len(r.dialed) > 0 && len(*r.answers) > 0 {
		code, *r.answers = (*r.answers)[0], (*r.answers)[1:]
		r.dialed = append(r.dialed, url)
	}
	r.mu.Unlock()
	if code != 0 {
		return refusing("null", code)
	}
	return r.middle.Dial(ctx, url, header)
}

// What the hub at the spoke's own URL answers to the offer of a session: only 4501 ends the session and not the spoke.
func TestAnswersAtTheOwnURL(t *testing.T) {
	for name, c := range map[string]struct {
		answers []transport.CloseCode
		dials   int // after the first
		resume  uint64
		fatal   bool
	}{
		"none":                   {nil, 1, 1, false},
		"1013 keeps the session": {[]transport.CloseCode{1013}, 2, 1, false},
		"4501 drops the session": {[]transport.CloseCode{4501}, 2, 0, false},
		"4501 without an offer":  {[]transport.CloseCode{4501, 4501}, 2, 0, true},
		"4500 is final":          {[]transport.CloseCode{4500}, 1, 0, true},
		"4502 is final":          {[]transport.CloseCode{4502}, 1, 0, true},
		"4503 is final":          {[]transport.CloseCode{4503}, 1, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				m := newMiddle(t)
				m.hub(own, hub.Options{})
				s, err := spoke.New(own, &spoke.Options{ID: "a", Dialer: refusingOnce{m, &c.answers}, BackoffMin: time.Millisecond})
				must(t, err)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				ran := make(chan error, 1)
				go func() { ran <- s.Run(ctx) }()
				must(t, s.Ready(t.Context()))
				m.cut()
				later(5 * time.Second)
				if got := len(m.dials()) - 1; got != c.dials {
					t.Errorf("%d dials after the first, want %d", got, c.dials)
				}
				if st := s.Stats(); st.Resumed != c.resume || (st.State == "stopped") != c.fatal {
					t.Errorf("%+v", st)
				}
				cancel()
				if err := <-ran; c.fatal == errors.Is(err, context.Canceled) {
					t.Errorf("Run: %v", err)
				}
			})
		})
	}
}
