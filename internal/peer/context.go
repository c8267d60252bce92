package peer

import (
	"context"
	"sync"
	"time"

	"github.com/alkdev/hubspoke/internal/callcore"
)

// handlerContext is the context of a handler: it carries the request, and ends with the call's time, its
// abort, and the session. It is part of the Incoming and makes its channel and its timer when they are
// asked for: most handlers end without having looked.
type handlerContext struct {
	// Fixed at construction.
	parent   context.Context // for values; its end is not looked at, or context.Cause would give its cause
	in       *Incoming
	deadline time.Time // zero: none

	mu    sync.Mutex // guards the fields below
	done  chan struct{}
	timer *time.Timer
	after map[*func()]struct{}
	err   error
	cause error
	ended context.Context // answers context.Cause; see Value
}

var _ context.Context = (*handlerContext)(nil)

// Deadline implements [context.Context].
func (c *handlerContext) Deadline() (time.Time, bool) { return c.deadline, !c.deadline.IsZero() }

// Done implements [context.Context].
func (c *handlerContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.expireLocked()
		c.done = make(chan struct{})
		if c.err != nil {
			close(c.done)
		} else {
			c.armLocked()
		}
	}
	return c.done
}

// Err implements [context.Context].
func (c *handlerContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expireLocked()
	return c.err
}

// expireLocked ends the context if its time is up, also where no timer says so.
func (c *handlerContext) expireLocked() {
	if c.err == nil && !c.deadline.IsZero() && !time.Now().Before(c.deadline) {
		c.endLocked(context.DeadlineExceeded, timeoutError)
	}
}

// Value gives the request for package call's key, like a context of call.NewContext. When the context has
// ended it gives what [context.Cause] looks for.
func (c *handlerContext) Value(key any) any {
	if _, ok := key.(callcore.RequestKey); ok {
		return &c.in.Request
	}
	if _, ok := key.(incomingKey); ok {
		return c.in
	}
	c.mu.Lock()
	if c.err != nil && c.ended == nil {
		ended, cancel := context.WithCancelCause(context.WithoutCancel(c.parent))
		cancel(c.cause)
		c.ended = ended
	}
	ended := c.ended
	c.mu.Unlock()
	if ended != nil {
		return ended.Value(key)
	}
	return context.WithoutCancel(c.parent).Value(key)
}

// AfterFunc calls f on a goroutine of its own when the context has ended. It saves
// contexts that are made of this one a goroutine each (package context looks for it).
func (c *handlerContext) AfterFunc(f func()) (stop func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expireLocked()
	if c.err != nil {
		go f()
		return func() bool { return false }
	}
	key := &f
	if c.after == nil {
		c.after = make(map[*func()]struct{})
	}
	c.after[key] = struct{}{}
	c.armLocked()
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, there := c.after[key]
		delete(c.after, key)
		return there
	}
}

func (c *handlerContext) armLocked() {
	if c.timer == nil && !c.deadline.IsZero() {
		c.timer = time.AfterFunc(time.Until(c.deadline), func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.endLocked(context.DeadlineExceeded, timeoutError)
		})
	}
}

// cancel ends the context; nil is [context.Canceled], when the handler has returned. The first end counts.
func (c *handlerContext) cancel(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cause != nil && !c.deadline.IsZero() && !time.Now().Before(c.deadline) {
		c.endLocked(context.DeadlineExceeded, timeoutError)
	}
	c.endLocked(context.Canceled, cause)
}

func (c *handlerContext) endLocked(err, cause error) {
	if c.err != nil {
		return
	}
	if cause == nil {
		cause = err
	}
	c.err, c.cause = err, cause
	if c.done != nil {
		close(c.done)
	}
	if c.timer != nil {
		c.timer.Stop()
	}
	for f := range c.after {
		go (*f)()
	}
	c.after = nil
}
