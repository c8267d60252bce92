package redisbackplane

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

// inbox is a hub's subscription to its own channel, over a connection of its own.
// The directory and the links of the hub share it. Callbacks only enqueue.
type inbox struct {
	b       *Backplane
	hubID   string
	quoted  []byte // the id as JSON
	channel string
	ctx     context.Context
	stop    context.CancelFunc
	wg      sync.WaitGroup
	suspect chan struct{} // somebody thinks that it is deaf
	heard   atomic.Int64  // when the last message came, in nanoseconds since began
	probe   chan string   // probes that came back
	began   time.Time

	mu    sync.Mutex // guards the fields below
	users int
	down  error
	mail  func(string)
	link  func(string)
	fell  func(error) // called when the subscription is lost
}

const (
	// probePeriod is the silence after which a hub checks that it hears.
	probePeriod = 30 * time.Second
	// subscribePeriod is the pause between attempts to subscribe.
	subscribePeriod = 100 * time.Millisecond
)

var (
	errDeaf        = errors.New("redisbackplane: the subscription does not hear")
	errSubscribing = errors.New("redisbackplane: the hub has not subscribed yet")
)

// enter gives the hub's inbox and makes it for the first user, who waits until it hears.
func (b *Backplane) enter(ctx context.Context, hubID string) (*inbox, error) {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil, errClosed
	}
	in := b.inboxes[hubID]
	if in != nil {
		in.mu.Lock()
		in.users++
		in.mu.Unlock()
		b.mu.Unlock()
		return in, nil
	}
	in = &inbox{b: b, hubID: hubID, quoted: quote(hubID), channel: b.keys.inbox(hubID), users: 1, down: errSubscribing,
		suspect: make(chan struct{}, 1), probe: make(chan string, 1), began: time.Now()}
	in.ctx, in.stop = context.WithCancel(context.Background())
	b.inboxes[hubID] = in
	b.mu.Unlock()
	first := make(chan error, 1)
	in.wg.Go(func() { in.run(first) })
	var err error
	select {
	case err = <-first:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil {
		b.exit(in)
		return nil, err
	}
	return in, nil
}

// exit ends an inbox with its last user.
func (b *Backplane) exit(in *inbox) {
	b.mu.Lock()
	in.mu.Lock()
	in.users--
	last := in.users == 0
	in.mu.Unlock()
	if last {
		delete(b.inboxes, in.hubID)
	}
	b.mu.Unlock()
	if last {
		in.stop()
		in.wg.Wait()
	}
}

// setMail and setLink say who gets what comes; a link's end of use is told by nil.
func (in *inbox) setMail(fn func(string)) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.mail = fn
}

func (in *inbox) setLink(fn func(string), fell func(error)) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.link, in.fell = fn, fell
}

// check says whether the hub hears.
func (in *inbox) check() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.down
}

// doubt has the subscription probed soon.
func (in *inbox) doubt() {
	select {
	case in.suspect <- struct{}{}:
	default:
	}
}

// run keeps the subscription until the inbox is stopped. first gets the outcome of the first attempt.
func (in *inbox) run(first chan<- error) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for again := false; ; again = true {
		select {
		case <-pause.C:
		case <-in.ctx.Done():
			return
		}
		pause.Reset(subscribePeriod)
		sub, err := in.subscribe()
		if !again {
			first <- err
		} else if err == nil {
			in.b.counters.rebuilt.Add(1)
		}
		if err == nil {
			in.setDown(nil)
			in.b.reach.heard()
			err = in.watch(sub)
			in.b.discard(sub)
		}
		if in.ctx.Err() != nil {
			return
		}
		in.setDown(fmt.Errorf("redisbackplane: the subscription of hub %s: %w", in.hubID, err))
		in.b.reach.wake()
	}
}

func (in *inbox) setDown(err error) {
	in.mu.Lock()
	was, fell := in.down, in.fell
	in.down = err
	in.mu.Unlock()
	switch {
	case err == nil && was != nil && !errors.Is(was, errSubscribing):
		in.b.log.Info().Str("hub", in.hubID).Msg("the hub hears the others again")
	case err != nil && was == nil:
		in.b.log.Warn().Str("hub", in.hubID).Err(err).Msg("the hub does not hear the others")
		if fell != nil {
			fell(err)
		}
	}
}

// subscription is one connection that hears the channel.
type subscription struct {
	client rueidis.DedicatedClient
	ended  <-chan error
}

// subscribe makes a connection. Dialling is rueidis', which takes no context; where
// it takes too long, what comes of it is given back by the goroutine that Backplane.Close waits for.
func (in *inbox) subscribe() (*subscription, error) {
	got := make(chan rueidis.DedicatedClient)
	in.b.wg.Go(func() {
		c, _ := in.b.client.Dedicate()
		select {
		case got <- c:
		case <-in.ctx.Done():
			c.Close()
		}
	})
	var sub subscription
	select {
	case sub.client = <-got:
	case <-in.ctx.Done():
		return nil, in.ctx.Err()
	}
	sub.ended = sub.client.SetPubSubHooks(rueidis.PubSubHooks{OnMessage: in.message})
	ctx, cancel := in.b.reach.bound(in.ctx)
	defer cancel()
	b := sub.client.B()
	cmd := b.Subscribe().Channel(in.channel).Build()
	if in.b.cluster {
		cmd = b.Ssubscribe().Channel(in.channel).Build()
	}
	if err := sub.client.Do(ctx, cmd).Error(); err != nil {
		in.b.discard(&sub)
		return nil, err
	}
	return &sub, nil
}

// discard closes a connection, which may take until rueidis gives up on it.
func (b *Backplane) discard(sub *subscription) { b.wg.Go(sub.client.Close) }

// watch returns why the subscription has ended, or does not hear any more.
func (in *inbox) watch(sub *subscription) error {
	silence := time.NewTimer(probePeriod)
	defer silence.Stop()
	for {
		select {
		case err := <-sub.ended:
			if err == nil {
				err = errors.New("the connection was closed")
			}
			return err
		case <-in.ctx.Done():
			return in.ctx.Err()
		case <-in.suspect:
		case <-silence.C:
			last := in.began.Add(time.Duration(in.heard.Load()))
			if quiet := time.Since(last); quiet < probePeriod {
				silence.Reset(probePeriod - quiet)
				continue
			}
		}
		if err := in.tryProbe(sub); err != nil {
			return err
		}
		silence.Reset(probePeriod)
	}
}

// tryProbe publishes to the hub itself and waits to hear it.
func (in *inbox) tryProbe(sub *subscription) error {
	in.b.counters.probes.Add(1)
	ctx, cancel := in.b.reach.bound(in.ctx)
	defer cancel()
	id := newIncarnation()
	if err := in.b.client.Do(ctx, in.b.publish(in.hubID, string(appendProbe(nil, in.quoted, id)))).Error(); err != nil {
		return in.b.reach.judge(in.ctx, err)
	}
	for {
		select {
		case got := <-in.probe:
			if got == id {
				return nil
			}
		case err := <-sub.ended:
			return fmt.Errorf("%w: %w", errDeaf, err)
		case <-ctx.Done():
			return errDeaf
		}
	}
}

// message takes what comes, on a goroutine of rueidis'.
func (in *inbox) message(m rueidis.PubSubMessage) {
	in.heard.Store(int64(time.Since(in.began)))
	in.mu.Lock()
	mail, link := in.mail, in.link
	in.mu.Unlock()
	kind, body := kindOf(m.Message)
	switch {
	case kind == kindProbe:
		select {
		case in.probe <- body:
		default: // an old one that nobody waits for
		}
	case kind == kindMail && mail != nil:
		mail(body)
	case kind == kindLink && link != nil:
		link(m.Message)
	case kind == kindGarbage:
		in.b.garbageMessage(m.Channel, errors.New("not a message between hubs"))
	}
}
