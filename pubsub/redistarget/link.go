package redistarget

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

// What a link is to those who publish.
const (
	linkNew  = int32(iota) // not yet connected: nobody knows
	linkUp                 // heard: all delivery comes from Redis
	linkDown               // known to be lost: delivery is local
)

const (
	firstBackoff = 50 * time.Millisecond
	lastBackoff  = 2 * time.Second
)

var errClosing = errors.New("the target is closed")

// link keeps one subscription connection: to the Redis there is, or to one node of
// a cluster. Its goroutine makes the connection, makes it again, and sends all
// that is to be subscribed.
type link struct {
	t       *Target
	addr    string // of the node in a sharded cluster, else empty
	state   atomic.Int32
	home    atomic.Pointer[rueidis.Client] // where a plain link of a cluster publishes: the node that it hears
	wake    chan struct{}
	suspect chan struct{}
	first   chan error   // the outcome of the first attempt, for New
	dials   atomic.Int32 // dials under way

	// Guarded by Target.mu.
	todo     []*interest
	conn     *conn
	reason   error
	retired  bool // the node has no slots any more
	wasUp    bool
	firstOut bool
}

// newLinkLocked makes a link and starts it.
func (t *Target) newLinkLocked(addr string) *link {
	l := &link{t: t, addr: addr, wake: make(chan struct{}, 1), suspect: make(chan struct{}, 1), first: make(chan error, 1)}
	t.links[addr] = l
	if !t.crew.start(l.run) {
		l.first <- errClosing
	}
	return l
}

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

func (l *link) wakeUp() { signal(l.wake) }

// doubt has the link probed now, because a publish has failed.
func (l *link) doubt() { signal(l.suspect) }

func (l *link) reasonLocked() string {
	if l.addr == "" {
		return l.reason.Error()
	}
	return l.addr + ": " + l.reason.Error()
}

// run keeps the link until the target is closed or the node is gone.
func (l *link) run() {
	for attempt := 0; ; attempt++ {
		c, err := l.dial()
		if err == nil {
			if err = l.restore(c); err == nil {
				begin := time.Now()
				err = l.serve(c)
				if time.Since(begin) > lastBackoff {
					attempt = 0
				}
			}
		}
		if l.down(c, err) {
			return
		}
		if !l.t.pause(attempt) {
			return
		}
	}
}

// pause waits a while before the next attempt, with full jitter. It reports
// false when the target closes.
func (t *Target) pause(attempt int) bool {
	limit := min(lastBackoff, firstBackoff<<min(attempt, 10))
	timer := time.NewTimer(time.Duration(rand.Int64N(int64(limit))) + time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-t.closing.Done():
		return false
	}
}

// restore subscribes to everything anew and declares the link up.
func (l *link) restore(c *conn) error {
	t := l.t
	t.mu.Lock()
	l.conn, l.todo = c, nil
	for _, in := range t.topics {
		if in.link == l {
			in.queued = false
			t.settleLocked(in)
		}
	}
	t.mu.Unlock()
	if err := l.listenToProbes(c); err != nil {
		return err
	}
	if err := l.verify(c); err != nil {
		return err
	}
	for {
		if err := l.work(c); err != nil {
			return err
		}
		if l.up() {
			return nil
		}
	}
}

// up declares the link up if nothing is left to be subscribed.
func (l *link) up() bool {
	t := l.t
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(l.todo) > 0 {
		return false
	}
	if l.wasUp {
		t.counters.reconnects.Add(1)
	}
	l.wasUp, l.reason = true, nil
	l.state.Store(linkUp)
	l.tellFirstLocked(nil)
	t.assessLocked()
	return true
}

func (l *link) tellFirstLocked(err error) {
	if !l.firstOut {
		l.firstOut = true
		l.first <- err
	}
}

// down gives a connection up, c being nil where there was none. It reports
// whether the link is over.
func (l *link) down(c *conn, err error) (over bool) {
	t := l.t
	t.mu.Lock()
	if c != nil {
		t.inbox.kill(c)
	}
	if l.state.Swap(linkDown) == linkUp {
		t.counters.lost.Add(1)
	}
	l.conn, l.todo, l.reason = nil, nil, err // restore collects what is to be done
	for _, in := range t.topics {
		if in.link != l {
			continue
		}
		in.queued = false
		in.degradeLocked()
		if in.idleLocked() {
			delete(t.topics, in.topic)
		}
	}
	over = l.retired || t.closing.Err() != nil
	if over && t.links[l.addr] == l {
		delete(t.links, l.addr)
	}
	l.tellFirstLocked(err)
	t.assessLocked()
	t.mu.Unlock()
	if c != nil && (over || !t.crew.start(c.client.Close)) {
		c.client.Close() // it takes a second where Redis does not answer
	}
	if !over {
		t.report(fmt.Errorf("redistarget: the link%s is down: %w", l.label(), err))
	}
	if t.router != nil {
		t.router.refresh()
	}
	return over
}

func (l *link) label() string {
	if l.addr == "" {
		return ""
	}
	return " to " + l.addr
}

// source is the client on which the link takes its connection.
func (l *link) source(ctx context.Context) (rueidis.Client, error) {
	t := l.t
	switch {
	case !t.cluster:
		return t.client, nil
	case !t.sharded:
		var nodes []rueidis.Client
		for _, node := range t.client.Nodes() {
			nodes = append(nodes, node)
		}
		if len(nodes) == 0 {
			return nil, errors.New("the client knows no node of the cluster")
		}
		node := nodes[rand.IntN(len(nodes))]
		l.home.Store(&node)
		return node, nil
	}
	if node := t.client.Nodes()[l.addr]; node != nil {
		return node, nil
	}
	t.router.teach(ctx, l.addr)
	if node := t.client.Nodes()[l.addr]; node != nil {
		return node, nil
	}
	return nil, errors.New("the client does not know this node yet")
}
