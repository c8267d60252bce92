package call

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// Retry repeats a call that failed with a retryable error, up to attempts times
// in all, as long as it has time: where the handler cannot have run ([Error.Sent] false), and with
// [Idempotent] always. A stream is repeated only before its first answer. The pause before the first
// repeat is between half of backoff and backoff, and doubles each time up to 30 s; 0 is 100 ms.
func Retry(attempts int, backoff time.Duration) Option {
	return func(r *Request) { r.Attempts, r.Backoff = attempts, backoff }
}

const (
	defaultRetryBackoff = 100 * time.Millisecond
	maxRetryBackoff     = 30 * time.Second
)

// Repeat makes the attempts of a request that [Retry] asks for, with once. It is
// for implementations of [Caller].
func Repeat(ctx context.Context, req *Request, send func(Envelope) error, once Handler) error {
	if req.Attempts <= 1 {
		return once(ctx, req, send)
	}
	answered := false
	pass := func(e Envelope) error {
		answered = true
		return send(e)
	}
	timeout := req.Timeout
	if timeout == 0 && !req.Stream {
		timeout = DefaultTimeout
	}
	until := time.Time{}
	if timeout > 0 {
		until = time.Now().Add(timeout)
	}
	pause := req.Backoff
	if pause <= 0 {
		pause = defaultRetryBackoff
	}
	r := *req
	for attempt := 1; ; attempt++ {
		err := once(ctx, &r, pass)
		if attempt >= req.Attempts || answered || !mayRepeat(err, req.Idempotent) {
			return err
		}
		if !rest(ctx, pause/2+rand.N(pause/2+1), until) {
			return err
		}
		if timeout > 0 {
			r.Timeout = max(time.Until(until), time.Nanosecond)
		}
		pause = min(2*pause, maxRetryBackoff)
	}
}

func mayRepeat(err error, idempotent bool) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Retryable && (!e.Sent || idempotent)
}

// rest pauses; it is false where the call's time does not suffice.
func rest(ctx context.Context, d time.Duration, until time.Time) bool {
	end := time.Now().Add(d)
	if !until.IsZero() && !end.Before(until) {
		return false
	}
	if deadline, ok := ctx.Deadline(); ok && !end.Before(deadline) {
		return false
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
