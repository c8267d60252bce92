package redistarget

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// sharedContexts is how many contexts of callers a window keeps.
const sharedContexts = 1024

// deadlines bounds the contexts of callers in time. A context with a timer of its own for
// every event would cost a quarter of a publish, so what is published with the same
// context within an eighth of the length, a window, shares one; it ends up to that much late.
type deadlines struct {
	length time.Duration
	plain  atomic.Pointer[bounded] // for contexts that cannot end, the most frequent

	mu     sync.Mutex // guards the fields below, and users and over of what is shared
	until  time.Time  // when the window ends
	shared map[<-chan struct{}]*bounded
}

// bounded is a context that ends with a caller's, or after the length.
type bounded struct {
	context.Context
	owner  *deadlines
	cancel context.CancelFunc
	until  time.Time // of what is in plain
	users  int
	over   bool // nobody else may begin to use it
}

// bound returns a context that ends with ctx or, at the latest, after the length
// and a window. It must be released.
func (d *deadlines) bound(ctx context.Context) *bounded {
	now := time.Now()
	if ctx.Done() == nil {
		if b := d.plain.Load(); b != nil && now.Before(b.until) {
			return b
		}
		return d.renew(now)
	}
	if at, ok := ctx.Deadline(); ok && at.Sub(now) <= d.length {
		return &bounded{Context: ctx}
	}
	window := d.length / 8
	d.mu.Lock()
	defer d.mu.Unlock()
	if !now.Before(d.until) {
		d.endLocked()
		d.until = now.Add(window)
	}
	// By the channel: contexts need not be comparable, and those with the same channel end together.
	b := d.shared[ctx.Done()]
	if b == nil {
		b = &bounded{owner: d}
		b.Context, b.cancel = context.WithTimeout(ctx, d.length+window)
		if len(d.shared) < sharedContexts {
			if d.shared == nil {
				d.shared = make(map[<-chan struct{}]*bounded)
			}
			d.shared[ctx.Done()] = b
		} else {
			b.over = true
		}
	}
	b.users++
	return b
}

// renew begins a window for contexts that cannot end. The one before ends by its time.
func (d *deadlines) renew(now time.Time) *bounded {
	d.mu.Lock()
	defer d.mu.Unlock()
	if b := d.plain.Load(); b != nil && now.Before(b.until) {
		return b
	}
	window := d.length / 8
	b := &bounded{until: now.Add(window)}
	b.Context, b.cancel = context.WithTimeout(context.Background(), d.length+window)
	d.plain.Store(b)
	return b
}

// release ends the use of a bounded context.
func (b *bounded) release() {
	if b.owner == nil {
		return
	}
	b.owner.mu.Lock()
	defer b.owner.mu.Unlock()
	if b.users--; b.over && b.users == 0 {
		b.cancel()
	}
}

// endLocked ends the window: what was shared in it goes with its last user.
func (d *deadlines) endLocked() {
	for _, b := range d.shared {
		if b.over = true; b.users == 0 {
			b.cancel()
		}
	}
	clear(d.shared)
}

// end gives timers back when the target is closed; what is still being published ends by its time.
func (d *deadlines) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.endLocked()
}
