package pending

import (
	"context"
	"io"
	"time"
)

// Request waits for the answers to one request. Next is for one goroutine at a
// time; the other methods may be called concurrently with it.
type Request struct {
	m        *Map
	id       string
	stream   bool
	metered  bool
	idle     time.Duration
	deadline time.Time // zero: none
	wake     chan struct{}

	// The map's mu guards the fields below.
	values [][]byte
	bytes  int
	credit int
	heard  time.Time
	over   bool  // nothing more will come
	err    error // why, when over; nil for completion
}

// ID is the request's id.
func (r *Request) ID() string { return r.id }

// Next gives the next value and waits for it. It fails with
//
//   - [io.EOF] when the stream is complete, or the one value of a unary request was taken;
//   - what the other side ended the request with ([Map.Fail]), or Close's cause;
//   - [ErrTimeout], [ErrIdleTimeout] or [ErrOverrun];
//   - the context's error.
//
// Values that came before the end are given first; a stream's that come after its
// time are not taken. After any failure but the context's the request is over here; after a time-out, and after the
// context's end when the caller gives up, call [Request.Leave].
func (r *Request) Next(ctx context.Context) ([]byte, error) {
	if v, ok, err := r.poll(); ok {
		return v, err
	}
	timer := r.timer()
	if timer != nil {
		defer timer.Stop()
	}
	for {
		var expired <-chan time.Time
		if timer != nil {
			expired = timer.C
		}
		select {
		case <-r.wake:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-expired:
			if err := r.expire(); err != nil {
				return nil, err
			}
			timer.Reset(r.remaining())
		}
		if v, ok, err := r.poll(); ok {
			return v, err
		}
	}
}

func (r *Request) poll() (value []byte, ok bool, err error) {
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	if len(r.values) > 0 {
		value, r.values[0] = r.values[0], nil
		r.values = r.values[1:]
		r.bytes -= len(value)
		return value, true, nil
	}
	r.values = nil
	if !r.over {
		return nil, false, nil
	}
	if r.err == nil {
		return nil, true, io.EOF
	}
	return nil, true, r.err
}

// timer runs until the nearer of the deadline and the idle time-out.
func (r *Request) timer() *time.Timer {
	if r.deadline.IsZero() && r.idle <= 0 {
		return nil
	}
	r.m.mu.Lock()
	r.heard = time.Now() // the reader waits from now on; what it was slow to take is not the handler's silence
	r.m.mu.Unlock()
	return time.NewTimer(r.remaining())
}

func (r *Request) remaining() time.Duration {
	now := time.Now()
	d := time.Duration(1<<63 - 1)
	if !r.deadline.IsZero() {
		d = r.deadline.Sub(now)
	}
	if r.idle > 0 {
		r.m.mu.Lock()
		d = min(d, r.heard.Add(r.idle).Sub(now))
		r.m.mu.Unlock()
	}
	return max(d, 0)
}

// expire ends the request if its time is up, unless an answer was quicker.
func (r *Request) expire() error {
	now := time.Now()
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	switch {
	case r.over || len(r.values) > 0:
		return nil
	case !r.deadline.IsZero() && !now.Before(r.deadline):
		r.over, r.err = true, ErrTimeout
	case r.idle > 0 && !now.Before(r.heard.Add(r.idle)):
		r.over, r.err = true, ErrIdleTimeout
	}
	return r.err
}

// Grant lets n more responses of a metered stream come. It reports whether more
// may come: the other side need not be told of credit for a stream that is over.
func (r *Request) Grant(n int) (open bool) {
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	r.credit += n
	return !r.over
}

// Leave says that nobody waits for the request any more. It reports whether the
// other side is still at work on it and should be told; the request is then in
// flight until that side ends it. Leave is idempotent.
func (r *Request) Leave() (atWork bool) {
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	r.over, r.values, r.bytes = true, nil, 0
	if r.err == nil {
		r.err = ErrClosed
	}
	return r.m.requests[r.id] == r
}

// Drop takes the request out altogether: it never left this side.
func (r *Request) Drop() {
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	r.over, r.values, r.bytes = true, nil, 0
	if r.err == nil {
		r.err = ErrClosed
	}
	r.m.removeLocked(r)
}

func (r *Request) roomLocked(n int) bool {
	if r.metered {
		return r.credit > 0
	}
	return len(r.values) < MaxBuffered && (r.bytes+n <= MaxBufferedBytes || len(r.values) == 0)
}

func (r *Request) lateLocked() bool {
	return !r.over && !r.deadline.IsZero() && !time.Now().Before(r.deadline)
}

func (r *Request) endLocked(err error) {
	r.over, r.err = true, err
	r.wakeLocked()
}

func (r *Request) wakeLocked() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}
