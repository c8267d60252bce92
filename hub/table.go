package hub

import (
	"slices"
	"sync"
	"time"

	"github.com/alkdev/hubspoke/internal/registration"
	"github.com/alkdev/hubspoke/transport"
)

// table holds the spokes that are connected to this hub. A lookup takes its lock
// and nothing else.
type table struct {
	mu       sync.RWMutex // guards the fields below, and what conn says that it guards
	spokes   map[string]*conn
	byID     []*conn          // the same, sorted by id
	sessions map[string]*conn // by session id, those that can be resumed
	waiting  int              // how many of them have no connection
	// predecessors holds, by the id that they have lost, those that drain; see conn.displace.
	predecessors map[string]*conn
	// providers holds, by operation, who serves it; what is in a slice is never changed in place, but it may grow.
	providers map[string][]*conn
	variants  map[string]struct{} // operations of which spokes gave different descriptions, until the last leaves
	names     []string            // of the operations in providers, sorted; nil: to be made
	// namesVersion rises when an operation has its first provider or loses its last.
	namesVersion uint64
	closed       bool
	change       chan struct{} // closed at the next change; nil while no call waits
}

// claim is what became of an attempt to hold an id.
type claim struct {
	older     *conn               // to be retired with code
	code      transport.CloseCode // for the older one, or for the asker if refused
	reason    string
	displaced *conn // to be displaced: it drains
	oldest    *conn // to be retired: it was the predecessor until now
	ok        bool
}

// claim gives the id to c, or says why not (protocol section 4). Nothing is
// routed to c before insert.
func (t *table) claim(c *conn) claim {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return claim{code: transport.CloseTryAgainLater, reason: "the hub is draining"}
	}
	if t.spokes == nil {
		t.spokes = make(map[string]*conn)
		t.sessions = make(map[string]*conn)
		t.providers = make(map[string][]*conn)
		t.predecessors = make(map[string]*conn)
	}
	old := t.spokes[c.id]
	out := claim{ok: true}
	switch {
	case old == nil:
	case old.who().ID != c.who().ID:
		return claim{code: transport.CloseIDTaken, reason: "the id is held by another identity"}
	case c.instanceID == "" || c.instanceID != old.instanceID:
		if c.offers { // it is older than the instance that holds the id
			return claim{code: transport.CloseReplaced, reason: reasonReplaced}
		}
		out.code, out.reason = transport.CloseReplaced, reasonReplaced
	case c.attempt > old.attempt:
		out.code, out.reason = transport.CloseSuperseded, reasonSuperseded
	default:
		return claim{code: transport.CloseSuperseded, reason: reasonNewer}
	}
	switch {
	case old == nil:
	case old.leaving.Load():
		out.displaced, out.oldest = old, t.displaceLocked(old)
	default:
		out.older = old
		t.removeLocked(old)
		old.retired = out.reason
	}
	t.spokes[c.id] = c
	t.byID = slices.Insert(t.byID, t.placeLocked(c.id), c)
	if c.sessionID != "" {
		t.sessions[c.sessionID] = c
	}
	return out
}

// displaceLocked takes the id from a connection that drains. It returns the one that was the predecessor
// until now, if any.
func (t *table) displaceLocked(c *conn) (oldest *conn) {
	if oldest = t.predecessors[c.id]; oldest != nil {
		t.removeLocked(oldest)
		oldest.retired = reasonReplaced
	}
	t.loseIDLocked(c)
	t.predecessors[c.id] = c
	return oldest
}

// newAttempt takes note of an attempt to resume; it is false if a later one was
// there before.
func (t *table) newAttempt(c *conn, attempt int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if attempt <= c.attempt {
		return false
	}
	c.attempt = attempt
	return true
}

// outdated reports whether a registration was sent on an older connection than
// the one on which the session goes on, and is now sent again.
func (t *table) outdated(c *conn, reg *registration.Registration) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return c.sessionID != "" && reg.InstanceID == c.instanceID && reg.Attempt < c.attempt
}

// assigned reports whether the hub has given the identity this id, which it still holds.
func (t *table) assigned(id, identity string) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	c := t.spokes[id]
	return c != nil && c.assigned && c.who().ID == identity
}

// suspend makes c no candidate while its session waits. It is false if c has been
// taken out, or too many wait.
func (t *table) suspend(c *conn, limit int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.spokes[c.id] != c && t.predecessors[c.id] != c || t.waiting >= limit {
		return false
	}
	t.waiting++
	c.waiting, c.detachedAt = true, time.Now()
	t.changedLocked()
	return true
}

// restore makes c a candidate again, with what it offers now; see update. A predecessor has a connection
// again, and no more.
func (t *table) restore(c *conn, p profile) (first, last []string, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.waiting {
		t.waiting--
		c.waiting, c.detachedAt = false, time.Time{}
	}
	if t.spokes[c.id] != c {
		return nil, nil, false
	}
	first, last = t.updateLocked(c, p)
	return first, last, true
}

// renumber sets the generation of c to the one from the directory. It returns false if c was removed.
func (t *table) renumber(c *conn, generation int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.spokes[c.id] != c {
		return false
	}
	c.generation = generation
	return true
}

// insert makes c a candidate for calls, unless it has been retired meanwhile.
// It gives the operations for which c is the first provider.
func (t *table) insert(c *conn, generation int64, p profile) (first []string, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.spokes[c.id] != c {
		return nil, false
	}
	if c.newer != nil && c.newer.Generation >= generation {
		t.removeLocked(c)
		c.retired = errReplaced.Error()
		return nil, false
	}
	c.generation = generation
	c.profile = p
	first = t.provideLocked(c)
	t.changedLocked()
	return first, true
}

// update replaces what a live registration offers. It gives the operations that
// have their first provider with it, and those that lost their last.
func (t *table) update(c *conn, p profile) (first, last []string, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.spokes[c.id] != c {
		return nil, nil, false
	}
	first, last = t.updateLocked(c, p)
	return first, last, true
}

func (t *table) updateLocked(c *conn, p profile) (first, last []string) {
	gone := t.withdrawLocked(c)
	c.profile = p
	first = t.provideLocked(c)
	for _, op := range gone {
		if i := slices.Index(first, op); i >= 0 {
			first = slices.Delete(first, i, i+1)
		} else {
			last = append(last, op)
		}
	}
	t.changedLocked()
	return first, last
}

// giveUp takes the id from c for a newer registration elsewhere, unless c has lost it already.
func (t *table) giveUp(c *conn, newer Record) (got claim) {
	code, reason := c.replacedBy(newer)
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.spokes[c.id] != c:
	case c.leaving.Load():
		got = claim{displaced: c, oldest: t.displaceLocked(c)}
	default:
		t.removeLocked(c)
		c.retired = reason
		got = claim{older: c, code: code, reason: reason}
	}
	return got
}

// remove takes c out and gives why it had been taken out before, "" if it had not.
func (t *table) remove(c *conn) (retired string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.removeLocked(c)
	return c.retired
}

func (t *table) removeLocked(c *conn) {
	if t.sessions[c.sessionID] == c {
		delete(t.sessions, c.sessionID)
	}
	if c.waiting {
		t.waiting--
		c.waiting, c.detachedAt = false, time.Time{}
	}
	if t.predecessors[c.id] == c {
		delete(t.predecessors, c.id)
	}
	if t.spokes[c.id] != c {
		return
	}
	t.loseIDLocked(c)
}

// loseIDLocked takes the id from c, and what it offers out of the providers.
func (t *table) loseIDLocked(c *conn) {
	delete(t.spokes, c.id)
	i := t.placeLocked(c.id)
	t.byID = slices.Delete(t.byID, i, i+1)
	t.withdrawLocked(c)
	t.changedLocked()
}

func (t *table) provideLocked(c *conn) (first []string) {
	for op := range c.profile.operations {
		list := t.providers[op]
		if len(list) == 0 {
			first = append(first, op)
			t.renamedLocked()
		}
		t.providers[op] = append(list, c) // whoever has the shorter one does not see it
	}
	return first
}

func (t *table) withdrawLocked(c *conn) (last []string) {
	for op := range c.profile.operations {
		list := t.providers[op]
		if len(list) == 1 {
			delete(t.providers, op)
			delete(t.variants, op)
			t.renamedLocked()
			last = append(last, op)
			continue
		}
		i := slices.Index(list, c)
		t.providers[op] = slices.Delete(slices.Clone(list), i, i+1)
	}
	return last
}

// renamedLocked notes that the set of operations has changed.
func (t *table) renamedLocked() {
	t.names = nil
	t.namesVersion++
}

// close refuses every later claim.
func (t *table) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	t.changedLocked()
}

// wait gives a channel that is closed at the next change.
func (t *table) wait() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.change == nil {
		t.change = make(chan struct{})
	}
	return t.change
}

func (t *table) changed() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.changedLocked()
}

func (t *table) changedLocked() {
	if t.change != nil {
		close(t.change)
		t.change = nil
	}
}

// overtaken gives the connection that a newer registration on another hub ends, nil
// if there is none. One whose own registration is on its way finds out when it is inserted.
func (t *table) overtaken(newer Record) *conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.spokes[newer.SpokeID]
	switch {
	case c == nil || c.generation > newer.Generation:
	case c.generation != 0:
		return c
	case c.newer == nil || newer.Generation > c.newer.Generation:
		c.newer = &newer
	}
	return nil
}
