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
	taker    Taker
	owner    any

	// The map's mu guards the fields below.
	values  [][]byte
	one     [1][]byte // what values is made of for a unary request
	bytes   int
	credit  int
	over    bool          // nothing more will come
	waiting bool          // somebody is in Next
	err     error         // why, when over; nil for completion
	wake    chan struct{} // wakes Next; nil while none waits
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
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	if v, ok, err := r.pollLocked(); ok {
		return v, err
	}
	r.waiting = true
	defer func() { r.waiting = false }()
	r.m.armLocked(r.deadline) // if it is over, expire comes at once
	r.wake = r.m.channelLocked()
	defer r.keepChannelLocked()
	var silence <-chan time.Time
	var quiet time.Time // how long the other side may be silent
	if r.idle > 0 {     // from now on: what the reader was slow to take is not the handler's silence
		quiet = time.Now().Add(r.idle)
		timer := time.NewTimer(r.idle)
		defer timer.Stop()
		silence = timer.C
	}
	for {
		ended := r.sleepLocked(ctx, silence)
		if v, ok, err := r.pollLocked(); ok {
			return v, err
		}
		switch {
		case r.lateLocked(): // whatever has ended the wait: the context may be one that ends with the request's own time
			r.endLocked(ErrTimeout)
			return nil, r.err
		case r.idle > 0 && !time.Now().Before(quiet):
			r.endLocked(ErrIdleTimeout)
			return nil, r.err
		case ended != nil:
			return nil, ended
		}
	}
}

// maxSpare is how many channels a map keeps for later requests.
const maxSpare = 64

// channelLocked returns a channel to wake a request with. They are kept by the map and not in a
// sync.Pool, since a channel cannot leave the synctest bubble in which it was made.
func (m *Map) channelLocked() chan struct{} {
	if n := len(m.spare) - 1; n >= 0 {
		c := m.spare[n]
		m.spare = m.spare[:n]
		return c
	}
	return make(chan struct{}, 1)
}

// keepChannelLocked returns the channel of a request to the map: only a sender with the lock uses it.
func (r *Request) keepChannelLocked() {
	select {
	case <-r.wake:
	default:
	}
	if len(r.m.spare) < maxSpare && r.m.closed == nil {
		r.m.spare = append(r.m.spare, r.wake)
	}
	r.wake = nil
}

// sleepLocked unlocks while it waits. The error is the context's.
func (r *Request) sleepLocked(ctx context.Context, silence <-chan time.Time) error {
	r.m.mu.Unlock()
	defer r.m.mu.Lock()
	if ctx.Done() == nil && silence == nil { // a plain receive is cheaper
		<-r.wake
		return nil
	}
	select {
	case <-r.wake:
	case <-silence:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

func (r *Request) pollLocked() (value []byte, ok bool, err error) {
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

// keepLocked puts a copy of the value where the reader finds it.
func (r *Request) keepLocked(value []byte) {
	if r.values == nil {
		r.values = r.one[:0]
	}
	r.values = append(r.values, append([]byte(nil), value...))
	r.bytes += len(value)
	if r.metered {
		r.credit--
	}
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
	r.leaveLocked()
	return r.m.requests[r.id] == r
}

func (r *Request) leaveLocked() {
	r.over, r.values, r.bytes = true, nil, 0
	if r.err == nil {
		r.err = ErrClosed
	}
	r.wakeLocked() // or a Next that is under way would wait for ever: nothing else will end it
}

// Drop takes the request out altogether: it never left this side.
func (r *Request) Drop() {
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	r.leaveLocked()
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
	case r.wake <- struct{}{}: // or there is no channel, or it is full
	default:
	}
}
