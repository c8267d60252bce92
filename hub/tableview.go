package hub

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// This file is how the table is looked at; nothing here changes it.

// session gives the spoke with the session, once it has registered.
func (t *table) session(id string) *conn {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if c := t.sessions[id]; c != nil && c.generation != 0 {
		return c
	}
	return nil
}

// unserved gives those of the operations that nobody serves here now.
func (t *table) unserved(ops []string) (out []string) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, op := range ops {
		if len(t.providers[op]) == 0 {
			out = append(out, op)
		}
	}
	return out
}

// spoke gives the spoke with the id.
func (t *table) spoke(id string) (*conn, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	c := t.spokes[id]
	if c == nil || c.generation == 0 {
		return nil, false
	}
	return c, true
}

// serving gives those who serve the operation; the slice must not be changed.
func (t *table) serving(operation string) []*conn {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.providers[operation]
}

// profileOf gives what c offers now.
func (t *table) profileOf(c *conn) profile {
	p, _ := t.view(c)
	return p
}

// view gives what c offers now, and whether its session waits for a connection.
func (t *table) view(c *conn) (p profile, waiting bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return c.profile, c.waiting
}

// detachedSince returns when c lost its connection; zero if it has one.
func (t *table) detachedSince(c *conn) time.Time {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return c.detachedAt
}

// generationOf gives the generation of c's registration.
func (t *table) generationOf(c *conn) int64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return c.generation
}

// all gives everyone who has registered, sorted by id.
func (t *table) all() []*conn {
	t.mu.RLock()
	defer t.mu.RUnlock()
	out := make([]*conn, 0, len(t.byID))
	for _, c := range t.byID {
		if c.generation != 0 {
			out = append(out, c)
		}
	}
	return out
}

// placeLocked is where the spoke with the id is in byID, or would be.
func (t *table) placeLocked(id string) int {
	i, _ := slices.BinarySearchFunc(t.byID, id, func(c *conn, id string) int { return strings.Compare(c.id, id) })
	return i
}

// behind returns the next spokes, sorted by id, whose ids begin with prefix and are behind after. None is the end.
func (t *table) behind(after, prefix string) []*conn {
	const most = 256 // the lock is held for them
	t.mu.RLock()
	defer t.mu.RUnlock()
	var out []*conn
	for _, c := range t.byID[t.placeLocked(max(after, prefix)):] {
		if len(out) == most || !strings.HasPrefix(c.id, prefix) {
			break
		}
		if c.generation != 0 && (c.id > after || after == "") {
			out = append(out, c)
		}
	}
	return out
}

// operationNames returns the names of what spokes serve, sorted; the slice must not be changed.
func (t *table) operationNames() []string {
	t.mu.RLock()
	names, version := t.names, t.namesVersion
	stale := names == nil
	if stale {
		names = slices.Collect(maps.Keys(t.providers))
	}
	t.mu.RUnlock()
	if !stale {
		return names
	}
	slices.Sort(names)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.namesVersion == version {
		t.names = names
	}
	return names
}

// everyone returns all connections that hold an id or are draining predecessors, in no order.
func (t *table) everyone() []*conn {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return slices.AppendSeq(slices.Collect(maps.Values(t.spokes)), maps.Values(t.predecessors))
}

func (t *table) operationsNow() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.providers)
}

func (t *table) waitingNow() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.waiting
}

func (t *table) len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.spokes)
}

// attemptOf returns the attempt of c's last registration.
func (t *table) attemptOf(c *conn) int64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return c.attempt
}

// newerOf gives the registration on another hub for which c could not be inserted, if that was why.
func (t *table) newerOf(c *conn) Record {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if c.newer == nil {
		return Record{}
	}
	return *c.newer
}
