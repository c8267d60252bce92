package spoke_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/spoke"
	"github.com/alkdev/hubspoke/transport"
)

// wholeMessages is a connection like a platform's WebSocket.
type wholeMessages struct{ transport.Conn }

func (wholeMessages) WholeMessages() bool { return true }

type wholeDialer struct{ rawHub }

func (d wholeDialer) Dial(ctx context.Context, url string, h http.Header) (transport.Conn, error) {
	conn, err := d.rawHub.Dial(ctx, url, h)
	return wholeMessages{conn}, err
}

// A silent hub is left after the interval and the timeout, and where the spoke cannot see the bytes of an unfinished message, after the
// time of its largest message at 16 KiB/s too.
func TestSilentHubIsLeft(t *testing.T) {
	for _, whole := range []bool{false, true} {
		t.Run(fmt.Sprint("whole messages only ", whole), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				h := make(rawHub)
				o := &spoke.Options{ID: "a", Dialer: h, MaxMessageBytes: 1 << 20, HeartbeatTimeout: 10 * time.Second}
				want := 35 * time.Second
				if whole {
					o.Dialer = wholeDialer{h}
					want += 64 * time.Second
				}
				s, err := spoke.New("ws://raw.test/", o)
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				ran := make(chan error, 1)
				go func() { ran <- s.Run(ctx) }()
				conn, _ := h.accept(t, `{"id":"one","received":0,"window":15000}`)
				start := time.Now()
				for err == nil {
					_, err = conn.Read()
				}
				if took := time.Since(start); took < want || took > want+2*time.Second {
					t.Errorf("left after %v, want %v", took, want)
				}
				next, _ := h.accept(t, `{"id":"one","received":0,"window":15000}`)
				cancel()
				next.Abort()
				<-ran
			})
		})
	}
}
