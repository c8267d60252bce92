package callcore_test

import (
	"context"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/internal/callcore"
)

func TestTimeout(t *testing.T) {
	for _, c := range []struct {
		timeout time.Duration
		stream  bool
		want    time.Duration
	}{
		{0, false, callcore.DefaultTimeout}, {0, true, 0}, {-1, false, 0}, {-1, true, 0}, {5, false, 5}, {5, true, 5},
	} {
		if got := callcore.Timeout(c.timeout, c.stream); got != c.want {
			t.Errorf("%v, stream %v: %v, want %v", c.timeout, c.stream, got, c.want)
		}
	}
}

func TestPause(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		start := time.Now()
		if !callcore.Pause(t.Context(), time.Minute) || time.Since(start) != time.Minute {
			t.Errorf("a pause of %v", time.Since(start))
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		start = time.Now()
		if callcore.Pause(ctx, time.Minute) || time.Since(start) != time.Second {
			t.Errorf("a pause of %v although its context ended", time.Since(start))
		}
	})
}
