package call

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/alkdev/hubspoke/internal/callcore"
)

// RetryOptions are the options of [Retry]. Zero fields have their defaults.
type RetryOptions struct {
	// Attempts limits how often one call is made; 0 is 3, and 1 makes it once.
	Attempts int
	// Backoff is the longest pause before the second attempt; 0 is 100 ms. It doubles with each attempt, up to 30 s.
	// Each pause is random, between half of it and all of it.
	Backoff time.Duration
	// Budget limits the repeats of all calls together, so that callers do not add load to an outage: it is how many
	// repeats are allowed in addition to one for every ten calls. 0 is 100, negative is no limit. A call that would exceed
	// it fails with the error of its last attempt.
	Budget int
}

const (
	defaultAttempts   = 3
	defaultBackoff    = 100 * time.Millisecond
	maxBackoff        = 30 * time.Second
	defaultBudget     = 100
	callsForOneRepeat = 10
)

// Retry returns an [Interceptor] for callers that repeats a call whose error is retryable ([Error.Retryable]), if its
// handler cannot have run ([Error.Sent] is false) or the call is [Idempotent]. A stream is repeated only before its first
// answer. Around handlers ([Registry.Use], [Handle]) it repeats nothing, because the handler has run. Nil options are the
// defaults.
//
// All attempts share the call's timeout and its context. A call that has no time left for the next pause fails with the error
// of its last attempt; one whose context is canceled during a pause fails with ABORTED. The error of a call has Sent true if
// the handler can have run in any attempt.
//
// Interceptors after Retry see every attempt, those before it see one call. The budget belongs to the returned
// Interceptor: use one value for all calls that share it.
func Retry(opts *RetryOptions) Interceptor {
	var o RetryOptions
	if opts != nil {
		o = *opts
	}
	if o.Attempts <= 0 {
		o.Attempts = defaultAttempts
	}
	if o.Backoff <= 0 {
		o.Backoff = defaultBackoff
	}
	if o.Budget == 0 {
		o.Budget = defaultBudget
	}
	budget := &retryBudget{left: o.Budget * callsForOneRepeat, limit: o.Budget * callsForOneRepeat}
	return func(next Handler) Handler {
		return func(ctx context.Context, req *Request, send func(Envelope) error) error {
			if !req.Outgoing {
				return next(ctx, req, send)
			}
			budget.called()
			c := &retried{req: req, send: send, backoff: o.Backoff}
			if timeout := callcore.Timeout(req.Timeout, req.Stream); timeout > 0 {
				c.until = time.Now().Add(timeout)
			}
			for n := 1; ; n++ {
				err := c.attempt(ctx, next)
				if n == o.Attempts || !c.mayRepeat(err) {
					return c.failure(err)
				}
				pause := c.pause()
				if !c.hasTime(ctx, pause) || !budget.repeat() {
					return c.failure(err)
				}
				if !callcore.Pause(ctx, pause) {
					return c.canceled(ctx, err)
				}
			}
		}
	}
}

// retried is one call on its way through its attempts.
type retried struct {
	req      *Request
	send     func(Envelope) error
	until    time.Time // when its timeout ends; zero: it has none
	backoff  time.Duration
	again    bool // this is not the first attempt
	answered bool
	ran      bool // the handler can have run in one of the attempts
}

func (c *retried) attempt(ctx context.Context, next Handler) error {
	r := *c.req
	if c.again && !c.until.IsZero() {
		r.Timeout = max(time.Until(c.until), time.Nanosecond)
	}
	c.again = true
	return next(ctx, &r, func(e Envelope) error {
		c.answered = true
		return c.send(e)
	})
}

func (c *retried) mayRepeat(err error) bool {
	e, ok := errors.AsType[*Error](err)
	if !ok || e == nil {
		return false
	}
	c.ran = c.ran || e.Sent
	return !c.answered && e.Retryable && (!c.ran || c.req.Idempotent)
}

// pause returns the next pause, with jitter.
func (c *retried) pause() time.Duration {
	d := c.backoff/2 + rand.N(c.backoff/2+1)
	c.backoff = min(2*c.backoff, maxBackoff)
	return d
}

// hasTime reports whether the call can still be made after the pause.
func (c *retried) hasTime(ctx context.Context, pause time.Duration) bool {
	end := time.Now().Add(pause)
	deadline, ok := ctx.Deadline()
	return (c.until.IsZero() || end.Before(c.until)) && (!ok || end.Before(deadline))
}

// failure returns the last attempt's error as that of all attempts.
func (c *retried) failure(err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok || e == nil || e.Sent || !c.ran {
		return err
	}
	all := restated(err, e)
	all.Sent = true
	return all
}

// canceled returns the error of a call whose context ended between two attempts: the cause, if that is an [*Error].
func (c *retried) canceled(ctx context.Context, last error) error {
	cause := context.Cause(ctx)
	ended := Error{Code: CodeAborted}
	if e, ok := errors.AsType[*Error](cause); ok && e != nil {
		ended = *e
	} else if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		ended.Code = CodeTimeout
	}
	ended.Sent, ended.Cause = c.ran, cause
	ended.Message = fmt.Sprintf("the context ended before the next attempt: %v; the last attempt: %v", cause, last)
	return &ended
}

// retryBudget limits the repeats of many calls. It counts in tenths of a repeat, one for each call.
type retryBudget struct {
	limit int // negative: none

	mu   sync.Mutex // guards left
	left int
}

func (b *retryBudget) called() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left = min(b.left+1, b.limit)
}

// repeat takes one repeat; it returns false if none is left.
func (b *retryBudget) repeat() bool {
	if b.limit < 0 {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left < callsForOneRepeat {
		return false
	}
	b.left -= callsForOneRepeat
	return true
}
