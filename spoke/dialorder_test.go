package spoke_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/spoke"
	"github.com/alkdev/hubspoke/transport"
)

// dialLog records which URLs are dialed, and when.
type dialLog struct {
	transport.Dialer

	mu   sync.Mutex // guards the fields below
	fail error
	urls []string
	at   []time.Time
}

func (d *dialLog) Dial(ctx context.Context, url string, header http.Header) (transport.Conn, error) {
	d.mu.Lock()
	d.urls, d.at = append(d.urls, url), append(d.at, time.Now())
	fail := d.fail
	d.mu.Unlock()
	if fail != nil {
		return nil, fail
	}
	return d.Dialer.Dial(ctx, url, header)
}

func (d *dialLog) set(fail error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail, d.urls, d.at = fail, nil, nil
}

func (d *dialLog) take() ([]string, []time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.urls), slices.Clone(d.at)
}

const otherURL = "ws://other.example.com/spoke"

// A spoke that keeps a session dials the hub that has it, soon and often, until the window expires, and only then its next
// URL. Where nothing listens there is no session either: then it takes the next URL immediately. Without a session it
// takes the URLs in turn.
func TestOrderOfDialing(t *testing.T) {
	const window = 15 * time.Second
	for name, c := range map[string]struct {
		fail      error
		noSession bool
		stays     bool // it dials the first URL only, as long as the session may wait
	}{
		"the hub does not answer":        {errors.New("no route"), false, true},
		"nothing listens":                {syscall.ECONNREFUSED, false, false},
		"without a session":              {errors.New("no route"), true, false},
		"no session, connection refused": {syscall.ECONNREFUSED, true, false},
		"the hub answers with 503":       {&transport.HandshakeError{Status: http.StatusServiceUnavailable}, false, true},
		"503 without a session too":      {&transport.HandshakeError{Status: http.StatusServiceUnavailable}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				net := hubtest.New(t, nil)
				dials := &dialLog{Dialer: net.Dialer(nil)}
				s, err := spoke.New(hubtest.URL, &spoke.Options{ID: "s", URLs: []string{otherURL}, Dialer: dials, NoSession: c.noSession})
				must(t, err)
				ctx, cancel := context.WithCancel(t.Context())
				ran := make(chan error, 1)
				go func() { ran <- s.Run(ctx) }()
				must(t, s.Ready(t.Context()))
				dials.set(c.fail)
				lost := time.Now()
				dials.Dialer.(*hubtest.Wire).Cut()
				<-time.After(5 * time.Minute)
				synctest.Wait()
				urls, at := dials.take()
				if len(urls) < 6 {
					t.Fatalf("%d dials", len(urls))
				}
				early := 0 // before the session's window expires
				for early < len(at) && at[early].Sub(lost) < window {
					early++
				}
				others := slices.Contains(urls[:early], otherURL)
				switch {
				case c.stays && others:
					t.Errorf("the next URL was dialed while the session may wait: %v", urls[:early])
				case c.stays && early < 3:
					t.Errorf("%d dials while the session may wait", early)
				case !c.stays && !slices.Contains(urls[:2], otherURL):
					t.Errorf("the next URL was not dialed next: %v", urls[:2])
				}
				late := urls[early+1:]
				for i := 1; i < len(late); i++ {
					if late[i] == late[i-1] {
						t.Errorf("not in turn: %v", late)
						break
					}
				}
				dials.set(nil)
				must(t, s.Ready(t.Context()))
				cancel()
				<-ran
			})
		})
	}
}
