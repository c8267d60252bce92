package pending

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// What ends a request on this side, or refuses it.
var (
	ErrDuplicate   = errors.New("pending: the id is already in flight")
	ErrFull        = errors.New("pending: too many requests in flight")
	ErrTimeout     = errors.New("pending: the timeout expired")
	ErrIdleTimeout = errors.New("pending: the timeout between two responses expired")
	ErrOverrun     = errors.New("pending: more responses than the reader takes")
	ErrClosed      = errors.New("pending: closed")
)

// The bounds of a stream whose reader gives no credit.
const (
	MaxBuffered      = 1024
	MaxBufferedBytes = 4 << 20
)

// Map is the PendingRequestMap of one session. The zero value is ready. All
// methods may be called concurrently.
type Map struct {
	mu       sync.Mutex // guards the fields below and those of every Request
	requests map[string]*Request
	limit    int
	closed   error
	answered answered
	empty    chan struct{} // closed when the last request goes; nil while nobody waits
	unknown  uint64
	overruns uint64
	total    *atomic.Int64 // of many maps; nil: none
	deadline deadline      // the nearest of those that are waited for
	spare    []chan struct{}
}

// Options say how a request waits.
type Options struct {
	// Stream lets the request have many responses.
	Stream bool
	// Credit is how many responses of a stream may come before [Request.Grant]
	// gives more; negative takes all, within the bounds of the package.
	Credit int
	// Timeout bounds the whole request from now on; 0 is no bound.
	Timeout time.Duration
	// IdleTimeout bounds the time to the next response of a stream; 0 is no bound.
	IdleTimeout time.Duration
	// Owner is the value that [Map.Owner] returns; nil is none.
	Owner any
	// Taker, for a unary request, takes the answer in place of [Request.Next]; nil is none.
	Taker Taker
}

// Taker takes the answer of a unary request.
type Taker interface {
	// Take is called once, with what [Request.Next] would return, and not if [Request.Leave] or [Request.Drop] came
	// first. It runs on the goroutine that brings the answer, with no lock held; it must not wait, and must not keep
	// value. It may run before [Map.Enter] returns.
	Take(value []byte, err error)
}

// Add puts a request in. It fails with [ErrDuplicate], with [ErrFull] over the
// limit, or with the cause that Close was given.
func (m *Map) Add(id string, o Options) (*Request, error) {
	r := new(Request)
	if err := m.Enter(r, id, o); err != nil {
		return nil, err
	}
	return r, nil
}

// Enter is Add for a Request that is part of something larger, to save its
// allocation; r must be zero, and not be copied afterwards.
func (m *Map) Enter(r *Request, id string, o Options) error {
	r.owner = o.Owner
	r.m, r.id, r.stream, r.credit, r.metered = m, id, o.Stream, o.Credit, o.Stream && o.Credit >= 0
	if o.Stream {
		r.idle = o.IdleTimeout
	} else {
		r.taker = o.Taker
	}
	if o.Timeout > 0 {
		r.deadline = time.Now().Add(o.Timeout)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed != nil {
		return m.closed
	}
	if m.limit > 0 && len(m.requests) >= m.limit {
		return ErrFull
	}
	if _, ok := m.requests[id]; ok {
		return ErrDuplicate
	}
	if m.requests == nil {
		m.requests = make(map[string]*Request)
	}
	m.requests[id] = r
	m.countLocked(1)
	if r.taker != nil {
		m.armLocked(r.deadline)
	}
	return nil
}

// SetLimit sets how many requests may be in flight; 0 is no limit. Those beyond
// a smaller limit stay.
func (m *Map) SetLimit(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.limit = n
}

// CountIn counts the requests in flight in total, which many maps may share, from now on. It is called
// before the first request, if at all.
func (m *Map) CountIn(total *atomic.Int64) { m.total = total }

func (m *Map) countLocked(n int) {
	if m.total != nil {
		m.total.Add(int64(n))
	}
}

// Outcome says what became of something that arrived.
type Outcome int

// The outcomes.
const (
	Delivered Outcome = iota // the request got it
	Unknown                  // no such request, or its caller has left: ignored and counted
	Overrun                  // beyond what the reader takes: the request has failed with ErrOverrun
	Surplus                  // the unary request has its answer and the other side goes on: tell it to stop
)

// Respond delivers a value, of which it keeps a copy. id is not kept. A unary request ends with it.
func (m *Map) Respond(id []byte, value []byte) Outcome {
	m.mu.Lock()
	r, out := m.respondLocked(id, value)
	m.mu.Unlock()
	if out == Delivered && r.taker != nil {
		r.taker.Take(value, nil)
	}
	return out
}

func (m *Map) respondLocked(id []byte, value []byte) (*Request, Outcome) {
	r, ok := m.requests[string(id)]
	if !ok {
		m.unknown++
		if m.answered.take(id) {
			return nil, Surplus
		}
		return nil, Unknown
	}
	if !r.stream {
		m.removeLocked(r)
		m.answered.put(r.id)
	}
	if r.stream && r.lateLocked() { // or a quick producer would never let the reader see the deadline
		r.endLocked(ErrTimeout)
	}
	if r.over {
		m.unknown++
		return r, Unknown
	}
	if r.stream && !r.roomLocked(len(value)) {
		m.overruns++
		r.endLocked(ErrOverrun)
		return r, Overrun
	}
	if r.taker == nil {
		r.keepLocked(value)
	}
	if r.stream {
		r.wakeLocked()
	} else {
		r.endLocked(nil)
	}
	return r, Delivered
}

// Complete ends a stream. A unary request that is completed without a value gets
// an empty one.
func (m *Map) Complete(id []byte) Outcome { return m.end(id, nil) }

// Fail ends a request with what the other side said of it.
func (m *Map) Fail(id []byte, err error) Outcome { return m.end(id, err) }

func (m *Map) end(id []byte, err error) Outcome {
	m.mu.Lock()
	r, out := m.finishLocked(id, err)
	m.mu.Unlock()
	if out == Delivered && r.taker != nil {
		r.taker.Take(nil, err)
	}
	return out
}

func (m *Map) finishLocked(id []byte, err error) (*Request, Outcome) {
	r, ok := m.requests[string(id)]
	if !ok {
		m.unknown++
		return nil, Unknown
	}
	m.removeLocked(r)
	if r.over {
		m.unknown++
		return r, Unknown
	}
	if err == nil && !r.stream {
		r.values = append(r.values, nil)
	}
	r.endLocked(err)
	return r, Delivered
}

// Owner returns the Owner of the request with the id, and whether it is in flight; see [Map.Len].
func (m *Map) Owner(id string) (owner any, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.requests[id]
	if !ok {
		return nil, false
	}
	return r.owner, true
}

// Len is how many requests are in flight, those included whose caller has left
// and whose handler has not answered yet.
func (m *Map) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.requests)
}

// Empty gives a channel that is closed when no request is in flight, for a
// moment at least; it is closed already when there is none now.
func (m *Map) Empty() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.empty == nil {
		m.empty = make(chan struct{})
	}
	c := m.empty
	m.wakeLocked()
	return c
}

func (m *Map) removeLocked(r *Request) {
	if m.requests[r.id] == r {
		delete(m.requests, r.id)
		m.countLocked(-1)
		m.wakeLocked()
	}
}

func (m *Map) wakeLocked() {
	if len(m.requests) == 0 && m.empty != nil {
		close(m.empty)
		m.empty = nil
	}
}

// Limit is what SetLimit has set; 0 is no limit.
func (m *Map) Limit() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.limit
}

// Full reports whether the limit is reached.
func (m *Map) Full() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.closed != nil || m.limit > 0 && len(m.requests) >= m.limit
}

// Load gives Len and Full of one moment.
func (m *Map) Load() (n int, full bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.requests), m.closed != nil || m.limit > 0 && len(m.requests) >= m.limit
}

// Close fails every request with cause and refuses new ones with it, in one step.
// A nil cause is [ErrClosed]. Only the first Close counts.
func (m *Map) Close(cause error) {
	if cause == nil {
		cause = ErrClosed
	}
	m.mu.Lock()
	if m.closed != nil {
		m.mu.Unlock()
		return
	}
	m.closed, m.spare = cause, nil
	var told []*Request
	for _, r := range m.requests {
		if r.over {
			continue
		}
		r.endLocked(cause)
		if r.taker != nil {
			told = append(told, r)
		}
	}
	m.countLocked(-len(m.requests))
	m.requests = nil
	m.deadline.stop()
	m.wakeLocked()
	m.mu.Unlock()
	for _, r := range told {
		r.taker.Take(nil, cause)
	}
}
