package spoke

import (
	"context"
	"fmt"
	"iter"
	"runtime/debug"
	"sync"
)

// State is where a spoke stands.
type State int

// The states. A spoke that has not been run yet is Connecting.
const (
	Connecting State = iota // dialling or registering
	Registered              // a hub sends it calls
	BackingOff              // waiting before the next dial
	Draining                // leaving: Shutdown waits for calls in flight
	Stopped                 // Run has returned
)

// String is the state in a word or two.
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

// stateBox holds the state and wakes who waits for a change.
type stateBox struct {
	notify func(State)
	order  sync.Mutex // held while notify runs, so that changes are told in order

	mu      sync.Mutex // guards the fields below
	state   State
	changed chan struct{} // closed at the next change
}

func (b *stateBox) get() (State, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.changed == nil {
		b.changed = make(chan struct{})
	}
	return b.state, b.changed
}

// set changes the state, except that only Stopped follows Draining, and nothing
// follows Stopped.
func (b *stateBox) set(s State) {
	b.order.Lock()
	defer b.order.Unlock()
	b.mu.Lock()
	if b.state == s || b.state == Stopped || b.state == Draining && s != Stopped {
		b.mu.Unlock()
		return
	}
	b.state = s
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
	b.mu.Unlock()
	if b.notify != nil {
		b.notify(s)
	}
}

// notifyState calls Options.OnState.
func (s *Spoke) notifyState(state State) {
	defer func() {
		if p := recover(); p != nil {
			s.counters.Panics.Add(1)
			s.log.Error().Str("state", state.String()).Str("panic", fmt.Sprint(p)).Bytes("stack", debug.Stack()).Msg("Options.OnState panicked")
		}
	}()
	s.opts.OnState(state)
}

// State says where the spoke stands now.
func (s *Spoke) State() State {
	st, _ := s.state.get()
	return st
}

// States yields the state of this moment and every later one until ctx ends or
// the spoke has stopped. Who is slow sees the newest and misses those between; [Options.OnState] misses none.
func (s *Spoke) States(ctx context.Context) iter.Seq[State] {
	return func(yield func(State) bool) {
		for {
			st, changed := s.state.get()
			if !yield(st) || st == Stopped {
				return
			}
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
	for {
		st, changed := s.state.get()
		switch st {
		case Registered:
			return nil
		case Draining, Stopped:
			return s.errStopped()
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return s.unregistered(context.Cause(ctx))
		}
	}
}
