package redisbackplane

import (
	"context"
	"sync"
	"time"
)

// patience is a context with a time limit that costs nothing until somebody waits:
// a lookup that the cache answers never does. end must be called. The fields above mu are fixed.
type patience struct {
	context.Context
	deadline time.Time

	mu     sync.Mutex // guards the fields below
	waited context.Context
	cancel context.CancelFunc
}

// patient is bound for lookups.
func (r *reach) patient(ctx context.Context) *patience {
	return &patience{Context: ctx, deadline: time.Now().Add(r.timeout)}
}

// Deadline implements [context.Context].
func (p *patience) Deadline() (time.Time, bool) {
	if d, ok := p.Context.Deadline(); ok && d.Before(p.deadline) {
		return d, true
	}
	return p.deadline, true
}

// Done implements [context.Context].
func (p *patience) Done() <-chan struct{} { return p.wait().Done() }

// Err implements [context.Context].
func (p *patience) Err() error {
	p.mu.Lock()
	waited := p.waited
	p.mu.Unlock()
	if waited != nil {
		return waited.Err()
	}
	if err := p.Context.Err(); err != nil {
		return err
	}
	if time.Now().After(p.deadline) {
		return context.DeadlineExceeded
	}
	return nil
}

func (p *patience) wait() context.Context {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waited == nil {
		p.waited, p.cancel = context.WithDeadline(p.Context, p.deadline)
	}
	return p.waited
}

// end gives the timer back, if there is one.
func (p *patience) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cancel != nil {
		p.cancel()
	}
}
