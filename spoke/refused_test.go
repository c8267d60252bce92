package spoke_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/spoke"
	"github.com/alkdev/hubspoke/transport"
)

// muteHub refuses every registration and never closes.
type muteHub struct{}

func (muteHub) Dial(context.Context, string, http.Header) (transport.Conn, error) {
	return refusing("null", 0)
}

// A refusal that is not followed by a close does not hold the spoke for ever.
func TestRefusedAndNotClosed(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, err := spoke.New("ws://hub", &spoke.Options{Dialer: muteHub{}, HandshakeTimeout: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		if err := s.Run(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 62*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if n := s.Stats().Attempts; n < 4 {
			t.Errorf("%d attempts in a minute", n)
		}
	})
}
