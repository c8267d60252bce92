package redisbackplane

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

// reach knows whether Redis can be reached. A call that fails closes it; only a
// hub's membership, which asks again and again, opens it. While it is closed nobody else asks.
type reach struct {
	timeout time.Duration
	down    atomic.Pointer[error]

	mu     sync.Mutex // guards the field below
	wakers map[chan<- struct{}]struct{}
}

// errDown is what calls fail with while Redis is known to be down.
var errDown = errors.New("redisbackplane: Redis cannot be reached")

// bound gives a context for one call.
func (r *reach) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, r.timeout)
}

// check fails while Redis is known to be down.
func (r *reach) check() error {
	if err := r.down.Load(); err != nil {
		return *err
	}
	return nil
}

// judge looks at the error of a call under ctx, the caller's own context. What
// Redis itself answered, and what the caller gave up, says nothing about the way to it.
func (r *reach) judge(ctx context.Context, err error) error {
	if err == nil || errors.Is(err, errDown) || refused(err) {
		return err
	}
	if _, answered := errors.AsType[*rueidis.RedisError](err); !answered && ctx.Err() != nil {
		return err
	}
	r.close(err)
	return fmt.Errorf("%w: %w", errDown, err)
}

// refused reports whether Redis answered a call with an error that concerns this call alone: a full Redis, a
// missing right, a value that is not what was expected. The error may be wrapped.
func refused(err error) bool {
	if e, ok := errors.AsType[*rueidis.RedisError](err); ok {
		return !e.IsClusterDown() && !e.IsLoading() && !e.IsTryAgain() && !strings.HasPrefix(e.Error(), "READONLY")
	}
	return rueidis.IsParseErr(err) || errors.Is(err, errNoRecord)
}

// close says that Redis is down, and wakes who finds out when it is back.
func (r *reach) close(err error) {
	err = fmt.Errorf("%w: %w", errDown, err)
	if !r.down.CompareAndSwap(nil, &err) {
		return
	}
	r.wake()
}

func (r *reach) open() { r.down.Store(nil) }

// wake has every membership look at once.
func (r *reach) wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for w := range r.wakers {
		select {
		case w <- struct{}{}:
		default: // it has been woken already
		}
	}
}

func (r *reach) watch(w chan<- struct{}) (stop func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.wakers == nil {
		r.wakers = make(map[chan<- struct{}]struct{})
	}
	r.wakers[w] = struct{}{}
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.wakers, w)
	}
}

// heard says that a subscription works: Redis is there, and memberships are asked to
// see for themselves; without any that is all there is to know.
func (r *reach) heard() {
	r.mu.Lock()
	none := len(r.wakers) == 0
	r.mu.Unlock()
	if none {
		r.open()
	} else if r.check() != nil {
		r.wake()
	}
}
