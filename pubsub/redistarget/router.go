package redistarget

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

var errNowhere = errors.New("no node of the cluster serves the slots of some topics")

// router knows, in a cluster with sharded pub/sub, which node has which slot, and
// puts each topic on the link to its node.
type router struct {
	t       *Target
	stale   chan struct{}
	table   atomic.Pointer[table]
	nowhere *link // stands for the node of a slot that has none; it is always down

	// Guarded by Target.mu.
	nodes    map[string]*node
	homeless bool // some topics have no node
}

// node is a master of the cluster.
type node struct {
	addr string
	link atomic.Pointer[link] // nil before its first topic
}

func newRouter(t *Target) *router {
	r := &router{t: t, stale: make(chan struct{}, 1), nodes: make(map[string]*node)}
	r.nowhere = &link{t: t, reason: errNowhere, wake: make(chan struct{}, 1), suspect: make(chan struct{}, 1)}
	r.nowhere.state.Store(linkDown)
	return r
}

// refresh has the slots read anew. It does not wait.
func (r *router) refresh() { signal(r.stale) }

// run reads the slots anew when somebody doubts them, and moves topics.
func (r *router) run() {
	t := r.t
	attempt, last := 0, time.Now()
	for {
		select {
		case <-r.stale:
		case <-t.closing.Done():
			return
		}
		if time.Since(last) > lastBackoff {
			attempt = 0
		}
		err := r.load()
		if err != nil {
			t.report(fmt.Errorf("redistarget: read the cluster's slots: %w", err))
		}
		if !r.reroute() || err != nil {
			r.refresh() // until all have a place
		}
		last = time.Now()
		if !t.pause(attempt) {
			return
		}
		// Not for long: each of many slots that move one by one asks anew.
		attempt = min(attempt+1, 3)
	}
}

// load asks one node after the other for the slots.
func (r *router) load() error {
	t := r.t
	err := errors.New("the client knows no node of the cluster")
	for addr, client := range t.client.Nodes() {
		ctx, cancel := context.WithTimeout(t.closing, t.opts.Timeout)
		var rows []rueidis.RedisMessage
		rows, err = client.Do(ctx, client.B().ClusterSlots().Build()).ToArray()
		cancel()
		if err != nil {
			continue
		}
		t.mu.Lock()
		r.table.Store(r.readLocked(rows, addr))
		t.mu.Unlock()
		return nil
	}
	return err
}

// reroute gives a place to topics that have none, or whose link is down while
// their slot is elsewhere. It reports whether all have one.
func (r *router) reroute() (all bool) {
	t := r.t
	t.mu.Lock()
	defer t.mu.Unlock()
	slots := r.table.Load()
	used := make(map[*link]bool)
	all = true
	for _, in := range t.topics {
		if in.link == nil || in.link.state.Load() == linkDown {
			n := slots.find(in.slot)
			switch {
			case n == nil:
				in.link, all = nil, false
				in.degradeLocked()
			case in.link == nil || in.link.addr != n.addr:
				r.putLocked(in, n)
			}
		}
		used[in.link] = true
	}
	for addr, l := range t.links {
		if !used[l] && !slots.has(addr) {
			l.retired = true
			if n := r.nodes[addr]; n != nil {
				n.link.CompareAndSwap(l, nil)
			}
			delete(r.nodes, addr)
			l.wakeUp()
		}
	}
	r.homeless = !all
	t.assessLocked()
	return all
}

// placeLocked puts a new topic on the link to its node.
func (r *router) placeLocked(in *interest) {
	if n := r.table.Load().find(in.slot); n != nil {
		r.putLocked(in, n)
		return
	}
	r.refresh()
}

// misplacedLocked takes a topic off its link, which does not serve its slot any more.
func (r *router) misplacedLocked(in *interest) {
	in.link = nil
	r.refresh()
}

func (r *router) putLocked(in *interest, n *node) {
	l := n.link.Load()
	if l == nil || l.retired {
		l = r.t.newLinkLocked(n.addr)
		n.link.Store(l)
	}
	in.link, in.queued = l, false
	in.asking, in.leaving, in.live = false, false, false
	if l.state.Load() == linkDown && len(in.waiting)+len(in.asked) > 0 {
		in.degradeLocked()
	}
	r.t.settleLocked(in)
}

// linkOf is the link that hears a slot: nil where there is none yet, nowhere
// where no node has it.
func (r *router) linkOf(slot uint16) *link {
	n := r.table.Load().find(slot)
	if n == nil {
		return r.nowhere
	}
	return n.link.Load()
}

// slot is rueidis' own reckoning.
func (r *router) slot(channel string) uint16 {
	command := r.t.client.B().Spublish().Channel(channel).Message("").Build()
	return command.Slot()
}

// channelOn finds a probe channel in a slot of the node.
func (r *router) channelOn(addr string) (string, error) {
	slots := r.table.Load()
	for i := 0; slots.has(addr); i++ {
		channel := fmt.Sprintf("%s%s:%d", r.t.opts.ProbePrefix, r.t.probeID, i)
		if n := slots.find(r.slot(channel)); n != nil && n.addr == addr {
			return channel, nil
		}
	}
	return "", errors.New("the node has no slots")
}

// teach makes the client meet a node that it does not know yet: it sends a
// command there and follows the redirection.
func (r *router) teach(ctx context.Context, addr string) {
	if channel, err := r.channelOn(addr); err == nil {
		r.t.client.Do(ctx, r.t.client.B().Spublish().Channel(channel).Message("").Build())
	}
}
