package spoke

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/peer"
	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/pubsub/wstarget"
)

// events is the spoke's event target: it outlives connections. Listeners hang on
// the local target; each topic has one subscription on the session of the moment, made again on
// the next one.
type events struct {
	spoke *Spoke
	local pubsub.Local

	mu     sync.Mutex // guards the fields below and those of every subscription
	topics map[string]*subscription
	link   *link
	closed bool
}

type subscription struct {
	topic     string
	listeners int
	answer    *answer // to the listener that asked first, or first after it was deaf
	stop      func()  // on the current session
	deaf      bool    // the hub has refused or ended it
}

// answer is what the hub answers to a subscription that listeners wait for.
type answer struct {
	done    chan struct{} // closed when the subscription has been live once, or is refused
	settled bool          // done is closed; guarded by the mu of events
	err     error         // set before done is closed
}

func newAnswer() *answer { return &answer{done: make(chan struct{})} }

var _ pubsub.EventTarget = (*events)(nil)

func newEvents(s *Spoke) *events { return &events{spoke: s} }

// Dispatch implements [pubsub.EventTarget]. An event whose session ended before
// it was taken goes out on the next one.
func (e *events) Dispatch(ctx context.Context, ev pubsub.Event) error {
	if err := checkTopic(ev.Topic, true); err != nil {
		return err
	}
	if err := pubsub.ValidPayload(ev.Payload); err != nil {
		return &call.Error{Code: call.CodeValidation, Message: err.Error(), Cause: err}
	}
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		l, err := e.spoke.await(ctx)
		if err != nil {
			return err
		}
		err = l.target.Dispatch(ctx, ev)
		if err == nil || ctx.Err() != nil || !e.spoke.lost(l) {
			return err
		}
	}
}

func checkTopic(topic string, publish bool) error {
	if err := pubsub.ValidTopic(topic); err != nil {
		return err
	}
	if wire.Reserved(topic) || publish && strings.HasPrefix(topic, "hub.") {
		return fmt.Errorf("%w: %q is reserved", pubsub.ErrInvalidTopic, topic)
	}
	return nil
}

// Listen implements [pubsub.EventTarget].
func (e *events) Listen(ctx context.Context, topic string, fn func(pubsub.Event)) (stop func(), err error) {
	if err := checkTopic(topic, false); err != nil {
		return nil, err
	}
	if fn != nil {
		fn = peer.Guard(&e.spoke.log, &e.spoke.counters, fn)
	}
	unlisten, err := e.local.Listen(ctx, topic, fn)
	if err != nil {
		return nil, err
	}
	sub, answer, err := e.join(topic)
	if err != nil {
		unlisten()
		return nil, err
	}
	var once sync.Once
	stop = func() { once.Do(func() { unlisten(); e.leave(sub) }) }
	select {
	case <-answer.done:
		err = answer.err
	case <-ctx.Done():
		if err = context.Cause(ctx); e.spoke.current() == nil {
			err = e.spoke.unregistered(err)
		}
	}
	if err != nil {
		stop()
		return nil, err
	}
	return stop, nil
}

func (e *events) join(topic string) (*subscription, *answer, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, nil, ErrStopped
	}
	sub := e.topics[topic]
	if sub != nil && sub.deaf { // who comes now asks the hub again, for all
		sub.deaf, sub.answer = false, newAnswer()
		e.subscribeLocked(sub)
	}
	if sub == nil {
		if e.topics == nil {
			e.topics = make(map[string]*subscription)
		}
		sub = &subscription{topic: topic, answer: newAnswer()}
		e.topics[topic] = sub
		e.subscribeLocked(sub)
	}
	sub.listeners++
	return sub, sub.answer, nil
}

func (e *events) leave(sub *subscription) {
	e.mu.Lock()
	sub.listeners--
	var stop func()
	if sub.listeners == 0 && e.topics[sub.topic] == sub {
		delete(e.topics, sub.topic)
		stop, sub.stop = sub.stop, nil
	}
	e.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// attach makes all subscriptions on a new session.
func (e *events) attach(l *link) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.link = l
	for _, sub := range e.topics {
		e.subscribeLocked(sub)
	}
}

// detach forgets a session that has ended, so that nothing more starts on it.
func (e *events) detach() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.link = nil
}

// subscribeLocked subscribes on the session of the moment, if there is one. When
// that is done again, the listeners are told of the gap, since nobody knows what was published meanwhile:
// once it is live, so that what they miss before they hear of the gap is all that they miss.
func (e *events) subscribeLocked(sub *subscription) {
	l := e.link
	if l == nil {
		return
	}
	gap := func() {}
	if sub.answer.settled {
		gap = sync.OnceFunc(func() { e.deliver(pubsub.Event{Topic: sub.topic, Gap: true}) })
	}
	l.wg.Go(func() {
		stop, err := l.target.Listen(context.Background(), sub.topic, func(ev pubsub.Event) {
			gap()
			e.deliver(ev)
		})
		if err == nil {
			gap()
		}
		e.subscribed(sub, stop, err)
	})
}

func (e *events) deliver(ev pubsub.Event) {
	_ = e.local.Deliver(ev) // fails only when closed
}

func (e *events) subscribed(sub *subscription, stop func(), err error) {
	denial, denied := errors.AsType[*wstarget.Denial](err)
	e.mu.Lock()
	current := e.topics[sub.topic] == sub
	deaf := false
	switch {
	case err == nil && current:
		sub.stop, stop, sub.deaf = stop, nil, false
		e.settleLocked(sub, nil)
	case denied && !sub.answer.settled:
		sub.deaf = true // those who wait leave it; others may have listened before
		e.settleLocked(sub, denial)
	case denied:
		sub.deaf, deaf = true, true
		e.spoke.log.Error().Err(denial).Msg("the hub does not take a subscription back; its listeners hear nothing")
	}
	e.mu.Unlock()
	if stop != nil { // nobody listens any more
		stop()
	}
	if deaf {
		e.deliver(pubsub.Event{Topic: sub.topic, Gap: true}) // without end, as in ended
	}
}

// ended notes that the hub has ended a live subscription of the session: new credentials permit less.
// Its listeners are told of a gap, which has no end before the hub is asked again.
func (e *events) ended(l *link, topic string) {
	e.mu.Lock()
	sub := e.topics[topic]
	if sub == nil || e.link != l {
		e.mu.Unlock()
		return
	}
	sub.deaf = true
	stop := sub.stop
	sub.stop = nil
	e.mu.Unlock()
	if stop != nil {
		stop()
	}
	e.deliver(pubsub.Event{Topic: topic, Gap: true})
}

func (e *events) settleLocked(sub *subscription, err error) {
	if a := sub.answer; !a.settled {
		a.settled, a.err = true, err
		close(a.done)
	}
}

// close ends it with the spoke.
func (e *events) close() {
	e.mu.Lock()
	e.closed = true
	for _, sub := range e.topics {
		e.settleLocked(sub, ErrStopped)
	}
	e.mu.Unlock()
	e.local.Close()
}

// AfterClose implements [pubsub.CloseNotifier].
func (e *events) AfterClose(fn func()) (stop func() bool) { return e.local.AfterClose(fn) }
