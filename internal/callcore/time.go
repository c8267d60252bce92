package callcore

import (
	"context"
	"time"
)

// DefaultTimeout is call.DefaultTimeout.
const DefaultTimeout = 30 * time.Second

// Timeout returns the time that a call with this call.Request.Timeout has; 0 is no limit.
func Timeout(timeout time.Duration, stream bool) time.Duration {
	if timeout == 0 && !stream {
		return DefaultTimeout
	}
	return max(timeout, 0)
}

// Pause waits. It returns false if ctx ends first.
func Pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
