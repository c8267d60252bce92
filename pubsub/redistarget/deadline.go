package redistarget

import (
	"context"
	"sync"
	"time"
)

// deadlines gives contexts that end after a time. A context and a timer for
// every event would cost as much as a tenth of its publishing, so calls that begin within
// an eighth of the length share one; it ends up to that much late.
type deadlines struct {
	length time.Duration

	mu      sync.Mutex // guards the fields below
	current *deadline
	until   time.Time // for calls that begin before
}

// deadline is a context of which nothing can be asked but when it ends.
type deadline struct {
	at   time.Time
	done chan struct{}
}

// bound returns a context that ends with ctx or, at the latest, after the
// length. cancel must be called.
func (d *deadlines) bound(ctx context.Context) (bounded context.Context, cancel context.CancelFunc) {
	if ctx.Done() == nil {
		return d.shared(), func() {}
	}
	return context.WithTimeout(ctx, d.length)
}

func (d *deadlines) shared() context.Context {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.current == nil || !now.Before(d.until) {
		step := d.length / 8
		next := &deadline{at: now.Add(d.length + step), done: make(chan struct{})}
		time.AfterFunc(d.length+step, func() { close(next.done) })
		d.current, d.until = next, now.Add(step)
	}
	return d.current
}

// Deadline implements context.Context.
func (d *deadline) Deadline() (time.Time, bool) { return d.at, true }

// Done implements context.Context.
func (d *deadline) Done() <-chan struct{} { return d.done }

// Err implements context.Context.
func (d *deadline) Err() error {
	select {
	case <-d.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// Value implements context.Context.
func (d *deadline) Value(any) any { return nil }
