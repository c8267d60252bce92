package redistarget

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/redis/rueidis"
)

func newProbeID() string { return rand.Text()[:16] }

// probeChannel is where the link listens to itself: outside of what a topic can be, and in a
// sharded cluster in a slot of the link's node.
func (l *link) probeChannel() (string, error) {
	if l.t.router != nil {
		return l.t.router.channelOn(l.addr)
	}
	return l.t.opts.ProbePrefix + l.t.probeID, nil
}

// listenToProbes subscribes to the connection's probe channel.
func (l *link) listenToProbes(c *conn) error {
	t := l.t
	ctx, cancel := context.WithTimeout(t.closing, t.opts.Timeout)
	defer cancel()
	var command rueidis.Completed
	if t.sharded {
		command = c.client.B().Ssubscribe().Channel(c.channel).Build()
	} else {
		command = c.client.B().Subscribe().Channel(c.channel).Build()
	}
	err := c.client.Do(ctx, command).Error()
	if _, refused := rueidis.IsRedisErr(err); refused {
		return err
	}
	switch {
	case t.closing.Err() != nil:
		return errClosing
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no answer within %s", t.opts.Timeout)
	case err != nil:
		return lostError(err)
	}
	return nil
}

// verify has a probe go all the way before the link is called up. It also makes rueidis
// find out that its other connections are gone, which it otherwise does when a publish fails.
func (l *link) verify(c *conn) error {
	const tries = 3
	t := l.t
	var err error
	for range tries {
		sent := make(chan error, 1)
		l.probe(c, sent)
		select {
		case err = <-sent:
		case <-t.closing.Done():
			return errClosing
		}
		if _, refused := rueidis.IsRedisErr(err); err == nil || refused || errors.Is(err, context.DeadlineExceeded) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("a probe could not be published: %w", err)
	}
	timer := time.NewTimer(t.opts.Timeout)
	defer timer.Stop()
	select {
	case <-c.heard:
		return nil
	case err := <-c.lost:
		return lostError(err)
	case <-t.closing.Done():
		return errClosing
	case <-timer.C:
		t.counters.deaf.Add(1)
		return errDeaf
	}
}

// backlogTimeouts bounds, in timeouts, how long a probe may be behind other messages.
const backlogTimeouts = 10

// serve does the link's work until the connection is lost.
func (l *link) serve(c *conn) error {
	t := l.t
	timer := time.NewTimer(t.opts.Probe)
	defer timer.Stop()
	var sent chan error // a probe's publish is under way
	var waiting bool    // a probe is
	var begun time.Time // when it was sent
	begin := func() {
		waiting, sent, begun = true, make(chan error, 1), time.Now()
		l.probe(c, sent)
		timer.Reset(2 * t.opts.Timeout) // one for the publish, one for the way back
	}
	for {
		select {
		case <-t.closing.Done():
			return errClosing
		case err := <-c.lost:
			return lostError(err)
		case <-l.wake:
			if err := l.work(c); err != nil {
				return err
			}
			if l.over() {
				return errRetired
			}
		case <-l.suspect:
			if !waiting {
				begin()
			}
		case err := <-sent:
			if sent = nil; err != nil {
				return fmt.Errorf("a probe could not be published: %w", err)
			}
			if waiting {
				timer.Reset(t.opts.Timeout)
			}
		case <-c.heard:
			waiting = false
			timer.Reset(t.opts.Probe)
		case <-timer.C:
			l.retryRefused()
			if waiting {
				// The probe comes behind what Redis sent before.
				if silent := c.silent(); silent < t.opts.Timeout && time.Since(begun) < backlogTimeouts*t.opts.Timeout {
					timer.Reset(t.opts.Timeout - silent)
					continue
				}
				t.counters.deaf.Add(1)
				return errDeaf
			}
			if silent := c.silent(); silent < t.opts.Probe {
				timer.Reset(t.opts.Probe - silent)
			} else {
				begin()
			}
		}
	}
}

var (
	errDeaf    = errors.New("the subscription is deaf: a probe was not heard")
	errRetired = errors.New("the node has no slots any more")
)

// silent is how long the connection has said nothing.
func (c *conn) silent() time.Duration {
	return time.Since(c.start) - time.Duration(c.last.Load())
}

// probe publishes to the connection's own channel.
func (l *link) probe(c *conn, sent chan<- error) {
	t := l.t
	t.counters.probes.Add(1)
	t.crew.start(func() {
		ctx, cancel := context.WithTimeout(t.closing, t.opts.Timeout)
		defer cancel()
		sent <- t.publisherOf(l).Do(ctx, t.publication(c.channel, "1")).Error()
	})
}

// over reports whether the link has nothing to do any more.
func (l *link) over() bool {
	l.t.mu.Lock()
	defer l.t.mu.Unlock()
	return l.retired
}
