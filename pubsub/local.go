package pubsub

import (
	"context"
	"slices"
	"sync"
)

// Local is the [EventTarget] inside one process, and the core that others build
// on. The zero value is ready for use; it must not be copied after that. All
// methods may be called concurrently and from any listener.
//
// Dispatch calls the listeners in the publisher's goroutine. It waits for
// nobody: a listener that is busy gets the event from whoever is calling it, in
// its turn, and until then up to 4096 events or 4 MiB of payload wait for it.
// Beyond that events are dropped, and the listener is told with Gap. In return a
// call of Dispatch may deliver events of other publishers too. A listener that
// panics does so in a publisher's goroutine and stays subscribed.
//
// An event that is dispatched with Gap set reaches the listeners as it is.
type Local struct {
	mu     sync.RWMutex // guards the fields below
	closed bool

	// topics holds a list for each topic that has listeners. Dispatch reads a
	// list after it has let go of mu: so adding only appends, past the end of
	// what anyone reads, and removing copies.
	topics map[string][]*listener

	hooks map[*closeHook]struct{}
}

// closeHook gives each request of AfterClose an identity.
type closeHook struct{ fn func() }

var (
	_ EventTarget   = (*Local)(nil)
	_ CloseNotifier = (*Local)(nil)
)

// Dispatch implements [EventTarget]. Its only errors are [ErrInvalidTopic],
// [ErrInvalidPayload], [ErrClosed] and the cause of a ctx that has already ended.
func (l *Local) Dispatch(ctx context.Context, ev Event) error {
	if err := check(ctx, ev.Topic); err != nil {
		return err
	}
	if !ev.Gap {
		if err := ValidPayload(ev.Payload); err != nil {
			return err
		}
	}
	return l.Deliver(ev)
}

// Deliver is Dispatch for an event whose topic and payload the caller has checked with [ValidTopic]
// and [ValidPayload]. Its only error is [ErrClosed].
func (l *Local) Deliver(ev Event) error {
	if ev.Gap {
		ev.Payload = nil
	} else {
		ev.Dropped = 0
	}
	ev.End = nil
	l.mu.RLock()
	listeners, closed := l.topics[ev.Topic], l.closed
	l.mu.RUnlock()
	if closed {
		return ErrClosed
	}
	for _, listener := range listeners {
		listener.deliver(ev)
	}
	return nil
}

// End ends the listeners of a topic, for a target that is built on l. What is dispatched from now on does not
// reach them. The function that it returns calls each of them a last time, after the events that wait for it, with
// [Event.End] set to reason, which must not be nil. End itself calls no listener, so that the target may
// hold a lock of its own.
func (l *Local) End(topic string, reason error) (notify func()) {
	l.mu.Lock()
	ended := l.topics[topic]
	l.forgetLocked(topic)
	l.mu.Unlock()
	return func() {
		for _, listener := range ended {
			listener.end(reason)
		}
	}
}

// Listen implements [EventTarget]. Its only errors are [ErrInvalidTopic],
// [ErrClosed] and the cause of a ctx that has already ended.
func (l *Local) Listen(ctx context.Context, topic string, fn func(Event)) (stop func(), err error) {
	if err := check(ctx, topic); err != nil {
		return nil, err
	}
	if fn == nil {
		return nil, ErrNoListener
	}
	added := newListener(topic, fn)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, ErrClosed
	}
	if l.topics == nil {
		l.topics = make(map[string][]*listener)
	}
	l.topics[topic] = append(l.topics[topic], added)
	return func() {
		if added.stop() {
			l.remove(added)
		}
	}, nil
}

// check is what every call begins with.
func check(ctx context.Context, topic string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return ValidTopic(topic)
}

func (l *Local) remove(gone *listener) {
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.topics[gone.topic]
	i := slices.Index(old, gone)
	if i < 0 {
		return // Close or End was first
	}
	if len(old) > 1 {
		l.topics[gone.topic] = slices.Concat(old[:i], old[i+1:])
		return
	}
	l.forgetLocked(gone.topic)
}

func (l *Local) forgetLocked(topic string) {
	delete(l.topics, topic)
	if len(l.topics) == 0 {
		l.topics = nil // a map never shrinks
	}
}

// Close stops every listener and makes later calls of Dispatch and Listen return
// [ErrClosed]. What was still waiting for a listener is dropped. Subscriptions
// end with ErrClosed when their readers have read what is buffered. Close waits
// for nothing; calling it again does nothing.
func (l *Local) Close() {
	l.mu.Lock()
	topics, hooks := l.topics, l.hooks
	l.topics, l.hooks, l.closed = nil, nil, true
	l.mu.Unlock()
	for _, listeners := range topics {
		for _, listener := range listeners {
			listener.stop()
		}
	}
	for hook := range hooks {
		hook.fn()
	}
}

// AfterClose implements [CloseNotifier]. fn is called in the goroutine of Close.
func (l *Local) AfterClose(fn func()) (stop func() bool) {
	hook := &closeHook{fn}
	l.mu.Lock()
	closed := l.closed
	if !closed {
		if l.hooks == nil {
			l.hooks = make(map[*closeHook]struct{})
		}
		l.hooks[hook] = struct{}{}
	}
	l.mu.Unlock()
	if closed {
		fn()
	}
	return func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		_, held := l.hooks[hook]
		delete(l.hooks, hook)
		if len(l.hooks) == 0 {
			l.hooks = nil
		}
		return held
	}
}
