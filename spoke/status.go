package spoke

import (
	"context"
	"fmt"
	"iter"
	"sync"
)

// State is what a spoke is doing.
type State int

// The states. A spoke that has not been run yet is Connecting.
const (
	Connecting State = iota // dialing or registering
	Registered              // a hub sends it calls
	BackingOff              // waiting before the next dial
	Draining                // leaving: Shutdown waits for calls in flight, or Run for handlers
	Stopped                 // Run has returned
)

// String returns the state in a word or two.
func (s State) String() string {
	switch s {
	case Connecting:
		return "connecting"
	case Registered:
		return "registered"
	case BackingOff:
		return "backing off"
	case Draining:
		return "draining"
	case Stopped:
		return "stopped"
	default:
		return "unknown state"
	}
}

// status is the one record of where a spoke is: its state, the session that its calls and events use, and why there is
// none.
type status struct {
	order sync.Mutex // held while Options.OnState runs, so that its calls are in order; locked before mu

	mu      sync.Mutex // guards the fields below
	state   State
	changes uint64        // how often state has changed
	running bool          // Run has been called
	id      string        // returned by ID
	session *session      // the last one that was opened, with or without a connection, until Run's goroutine drops it
	last    error         // how the last dial or connection ended, or Run
	result  error         // of Run; nil until it is known
	changed chan struct{} // closed at the next change; nil while nothing waits for it
}

// update changes the status and wakes what waits for a change.
func (t *status) update(change func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change()
	if t.changed != nil {
		close(t.changed)
		t.changed = nil
	}
}

// changedLocked returns a channel that is closed at the next change.
func (t *status) changedLocked() <-chan struct{} {
	if t.changed == nil {
		t.changed = make(chan struct{})
	}
	return t.changed
}

// isLeaving reports whether the spoke opens no new session.
func (t *status) isLeaving() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.leavingLocked()
}

func (t *status) leavingLocked() bool { return t.state >= Draining }

// setState changes the state and calls Options.OnState. Only Stopped follows Draining, and nothing follows Stopped.
func (s *Spoke) setState(state State) {
	t := &s.status
	t.order.Lock()
	defer t.order.Unlock()
	before := s.State()
	if before == state || before == Stopped || before == Draining && state != Stopped {
		return
	}
	t.update(func() { t.state = state; t.changes++ })
	if s.opts.OnState != nil {
		s.reportState(state)
	}
}

// reportState calls Options.OnState.
func (s *Spoke) reportState(state State) {
	_, _ = runOption(context.Background(), s, "Options.OnState", func(context.Context) (struct{}, error) {
		s.opts.OnState(state)
		return struct{}{}, nil
	})
}

// State returns the current state.
func (s *Spoke) State() State {
	s.status.mu.Lock()
	defer s.status.mu.Unlock()
	return s.status.state
}

// States yields the current state and every later one until ctx ends or the spoke has stopped. A reader
// that is slow gets the newest and misses those between; [Options.OnState] misses none.
func (s *Spoke) States(ctx context.Context) iter.Seq[State] {
	return func(yield func(State) bool) {
		t := &s.status
		for first, seen := true, uint64(0); ; first = false {
			t.mu.Lock()
			state, changes, changed := t.state, t.changes, t.changedLocked()
			t.mu.Unlock()
			if first || changes != seen {
				if !yield(state) || state == Stopped {
					return
				}
			}
			seen = changes
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}
}

// Ready waits until the spoke is registered. Its error wraps the context's error, or
// [ErrStopped] when the spoke has stopped or is about to, and, in both cases, why the spoke is not registered: the
// last failed dial with its status, or the close code and reason.
func (s *Spoke) Ready(ctx context.Context) error {
	return s.until(ctx, func() bool { return s.status.state == Registered })
}

// current returns the session that calls and events use, nil if there is none.
func (s *Spoke) current() *session {
	s.status.mu.Lock()
	defer s.status.mu.Unlock()
	return s.status.currentLocked()
}

func (t *status) currentLocked() *session {
	if t.session.alive() {
		return t.session
	}
	return nil
}

// await waits for a session; see until.
func (s *Spoke) await(ctx context.Context) (se *session, err error) {
	err = s.until(ctx, func() bool { se = s.status.currentLocked(); return se != nil })
	return se, err
}

// until waits until reached returns true. Reached is called at each change, with the status locked. The error wraps the
// context's cause or [ErrStopped], and why the spoke is not registered.
func (s *Spoke) until(ctx context.Context, reached func() bool) error {
	t := &s.status
	for {
		t.mu.Lock()
		done, leaving, changed := reached(), t.leavingLocked(), t.changedLocked()
		t.mu.Unlock()
		switch {
		case done:
			return nil
		case leaving:
			return s.errStopped()
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return s.unregistered(context.Cause(ctx))
		}
	}
}

// LastError returns why the last dial failed or the last connection ended, nil if none has. It keeps its
// value while the spoke is registered again. After Run has returned it is Run's error.
func (s *Spoke) LastError() error {
	s.status.mu.Lock()
	defer s.status.mu.Unlock()
	return s.status.last
}

// unregistered returns the error of an operation that waited for a registration that did not happen: cause, and
// why there was none, as far as that is known.
func (s *Spoke) unregistered(cause error) error {
	s.status.mu.Lock()
	defer s.status.mu.Unlock()
	switch last := s.status.last; {
	case last != nil:
		return fmt.Errorf("%w; the spoke is not registered: %w", cause, last)
	case !s.status.running:
		return fmt.Errorf("%w; the spoke is not registered: Run has not been called", cause)
	}
	return fmt.Errorf("%w; the spoke is not registered yet", cause)
}

// errStopped returns [ErrStopped], with the error of Run if it has returned one.
func (s *Spoke) errStopped() error {
	s.status.mu.Lock()
	defer s.status.mu.Unlock()
	if s.status.result != nil {
		return fmt.Errorf("%w: %w", ErrStopped, s.status.result)
	}
	return ErrStopped
}
