package redistarget

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

// mostDials is how many dials of rueidis a link lets go on that have taken too long.
const mostDials = 4

// conn is one connection of a link, from its dial to its loss.
type conn struct {
	link    *link
	client  rueidis.DedicatedClient
	lost    <-chan error // closed after the last call of a hook
	dead    bool         // guarded by inbox.mu: what it still says is not taken
	last    atomic.Int64 // when it last said something, in nanoseconds since start
	start   time.Time
	channel string        // of its probes
	heard   chan struct{} // a probe has come back
}

// dial takes a connection of the client's pool. rueidis' dial cannot be
// interrupted: one that takes too long is given back when it comes.
func (l *link) dial() (*conn, error) {
	t := l.t
	ctx, cancel := context.WithTimeout(t.closing, t.opts.Timeout)
	defer cancel()
	source, err := l.source(ctx)
	if err != nil {
		return nil, err
	}
	channel, err := l.probeChannel()
	if err != nil {
		return nil, err
	}
	if l.dials.Load() >= mostDials {
		return nil, fmt.Errorf("connecting takes too long: %d attempts are under way", mostDials)
	}
	l.dials.Add(1)
	dialed := make(chan rueidis.DedicatedClient)
	started := t.crew.start(func() {
		t.crew.enter()
		client, _ := source.Dedicate()
		t.crew.leave()
		l.dials.Add(-1)
		select {
		case dialed <- client:
		case <-ctx.Done():
			client.Close()
		}
	})
	if !started {
		return nil, errClosing
	}
	select {
	case client := <-dialed:
		return l.newConn(client, channel), nil
	case <-ctx.Done():
		if t.closing.Err() != nil {
			return nil, errClosing
		}
		return nil, fmt.Errorf("connecting took longer than %s", t.opts.Timeout)
	}
}

func (l *link) newConn(client rueidis.DedicatedClient, channel string) *conn {
	c := &conn{link: l, client: client, channel: channel, start: time.Now(), heard: make(chan struct{}, 1)}
	c.lost = client.SetPubSubHooks(rueidis.PubSubHooks{OnMessage: c.onMessage, OnSubscription: c.onSubscription})
	return c
}

// onMessage is called by rueidis, for one message at a time. It must not wait.
func (c *conn) onMessage(m rueidis.PubSubMessage) {
	c.last.Store(int64(time.Since(c.start)))
	t := c.link.t
	if topic, ok := strings.CutPrefix(m.Channel, t.opts.Prefix); ok {
		t.counters.received.Add(1)
		t.inbox.message(c, topic, m.Message)
		return
	}
	if m.Channel == c.channel {
		signal(c.heard)
	}
}

// onSubscription is called by rueidis between messages, in their order: so a gap and a
// new listener come before the first message of a subscription.
func (c *conn) onSubscription(s rueidis.PubSubSubscription) {
	c.last.Store(int64(time.Since(c.start)))
	t := c.link.t
	topic, ok := strings.CutPrefix(s.Channel, t.opts.Prefix)
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.link.conn != c {
		return
	}
	if !ok {
		if s.Channel == c.channel && strings.HasSuffix(s.Kind, "unsubscribe") {
			c.link.doubt() // its slot has moved: the probe will not be heard
		}
		return
	}
	in := t.topics[topic]
	if in == nil || in.link != c.link {
		return
	}
	if strings.HasSuffix(s.Kind, "unsubscribe") {
		if !in.leaving {
			in.lostLocked()
		}
		return
	}
	in.asking, in.live, in.alone = false, true, false
	if in.broken {
		in.broken = false
		t.inbox.gap(topic, 0)
	}
	in.admitLocked()
	t.settleLocked(in)
}

// lostLocked is called when Redis has ended a subscription by itself, as it does when a slot moves.
func (in *interest) lostLocked() {
	t := in.link.t
	in.live = false
	in.broken = in.broken || in.listeners > len(in.waiting)+len(in.asked)
	if t.router != nil && !in.asking {
		t.router.misplacedLocked(in)
		return
	}
	t.settleLocked(in)
}

// lostError is why the connection ended.
func lostError(err error) error {
	switch {
	case err == nil:
		return errors.New("the connection was closed")
	case errors.Is(err, rueidis.ErrClosing):
		return errors.New("the rueidis client is closed, or cannot connect")
	}
	return fmt.Errorf("the connection failed: %w", err)
}
