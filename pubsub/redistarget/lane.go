package redistarget

import (
	"context"
	"fmt"
	"hash/maphash"
	"sync"

	"github.com/redis/rueidis"

	"github.com/alkdev/hubspoke/pubsub"
)

const (
	// laneCount is how many lanes there are: the events of one topic stay in one
	// lane and so in order, those of others need not wait for them.
	laneCount = 16
	// What goes out together at most.
	laneEvents = 256
	laneBytes  = 1 << 20
	// publicationBytes is what a publication costs besides its texts.
	publicationBytes = 128
)

// lane publishes events of some topics one batch after the other. Its
// goroutine lives only while there is something to publish. While one batch is
// on its way the next one gathers.
type lane struct {
	mu      sync.Mutex // guards the fields below
	queue   []publication
	running bool
}

type publication struct {
	ev      pubsub.Event
	message []byte
	done    func(error)
}

func (p *publication) size() int { return len(p.ev.Topic) + len(p.message) + publicationBytes }

var laneSeed = maphash.MakeSeed()

func (t *Target) laneOf(topic string) *lane {
	return &t.lanes[maphash.String(laneSeed, topic)%laneCount]
}

// DispatchAsync publishes ev like [Target.Dispatch] and never waits; ev is also under
// the same rules. done is called once, with what Dispatch would have returned: on a goroutine of the target's own, or, if
// ev is refused, immediately on the caller's. It must not block and may call the target; nil is allowed.
//
// Events of one topic are published in the order of the calls, and those of a later
// Dispatch behind them. While events of Options.MaxQueueBytes wait, further ones are refused with an error that wraps
// [ErrQueueFull].
func (t *Target) DispatchAsync(ev pubsub.Event, done func(error)) {
	if done == nil {
		done = func(error) {}
	}
	message, err := t.encode(ev)
	if err == nil {
		l := t.laneOf(ev.Topic)
		l.mu.Lock()
		err = l.addLocked(t, publication{ev, message, done})
		l.mu.Unlock()
	}
	if err != nil {
		done(err)
	}
}

// follow queues a publication behind those that wait; nil says that none does.
func (l *lane) follow(t *Target, ev pubsub.Event, message []byte) <-chan error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.running {
		return nil
	}
	result := make(chan error, 1)
	if err := l.addLocked(t, publication{ev, message, func(err error) { result <- err }}); err != nil {
		result <- err
	}
	return result
}

func (l *lane) addLocked(t *Target, p publication) error {
	size := int64(p.size())
	if waiting := t.queued.Add(size); waiting > int64(t.opts.MaxQueueBytes) && waiting > size {
		t.queued.Add(-size)
		t.counters.refused.Add(1)
		return fmt.Errorf("%w: limit %d bytes (redistarget.Options.MaxQueueBytes)", ErrQueueFull, t.opts.MaxQueueBytes)
	}
	if !l.running && !t.crew.start(func() { l.run(t) }) {
		t.queued.Add(-size)
		return pubsub.ErrClosed
	}
	l.running = true
	l.queue = append(l.queue, p)
	t.waiting.Add(1)
	return nil
}

// run publishes until nothing waits. After Close it still tells everybody.
func (l *lane) run(t *Target) {
	for {
		l.mu.Lock()
		n, bytes := 0, 0
		for n < len(l.queue) && n < laneEvents && (n == 0 || bytes+l.queue[n].size() <= laneBytes) {
			bytes += l.queue[n].size()
			n++
		}
		batch := l.queue[:n:n]
		if l.queue = l.queue[n:]; len(l.queue) == 0 {
			l.queue = nil
		}
		if n == 0 {
			l.running = false
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
		for len(batch) > 0 {
			batch = batch[t.publish(batch):]
		}
	}
}

// publish deals with the first of a batch and with those behind it that go the same
// way, and says how many these were. A local event waits for the answer to those before it.
func (t *Target) publish(batch []publication) int {
	if t.closing.Err() != nil {
		t.tell(&batch[0], pubsub.ErrClosed)
		return 1
	}
	var client rueidis.Client
	commands := make([]rueidis.Completed, 0, len(batch))
	links := make([]*link, 0, len(batch))
	for i := range batch {
		p := &batch[i]
		command := t.publication(t.opts.Prefix+p.ev.Topic, rueidis.BinaryString(p.message))
		l := t.linkOf(command.Slot())
		if l != nil && l.state.Load() == linkDown {
			if i > 0 {
				break
			}
			if err := t.dispatchLocally(l, p.ev); err != nil {
				t.tell(p, err)
				return 1
			}
		}
		if at := t.publisherOf(l); i == 0 {
			client = at
		} else if at != client {
			break
		}
		commands, links = append(commands, command), append(links, l)
	}
	ctx, cancel := context.WithTimeout(t.closing, t.opts.Timeout)
	results := client.DoMulti(ctx, commands...)
	cancel()
	for i, result := range results {
		err := result.Error()
		if err != nil && t.closing.Err() != nil {
			t.counters.failed.Add(1)
			t.tell(&batch[i], pubsub.ErrClosed)
			continue
		}
		t.tell(&batch[i], t.outcome(context.Background(), links[i], err))
	}
	return len(results)
}

// tell ends a publication.
func (t *Target) tell(p *publication, err error) {
	done := p.done
	t.queued.Add(-int64(p.size()))
	t.waiting.Add(-1)
	*p = publication{}
	t.crew.enter()
	done(err)
	t.crew.leave()
}
