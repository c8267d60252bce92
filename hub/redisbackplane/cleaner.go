package redisbackplane

import (
	"context"
	"sync"

	"github.com/redis/rueidis"
)

// cleaner takes hubs that died out of sets, as lookups meet them.
type cleaner struct {
	wg sync.WaitGroup

	mu      sync.Mutex // guards the fields below
	todo    map[stale]struct{}
	running bool
}

type stale struct {
	key string
	member
}

// cleanAtMost bounds what waits; the rest is met again.
const cleanAtMost = 256

func (c *cleaner) clean(b *Backplane, key string, m member) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.todo) >= cleanAtMost {
		return
	}
	if c.todo == nil {
		c.todo = make(map[stale]struct{})
	}
	c.todo[stale{key, m}] = struct{}{}
	if !c.running {
		c.running = true
		c.wg.Go(func() { c.run(b) })
	}
}

// run lives only while there is something to do.
func (c *cleaner) run(b *Backplane) {
	for {
		c.mu.Lock()
		if len(c.todo) == 0 || b.reach.check() != nil {
			c.running, c.todo = false, nil
			c.mu.Unlock()
			return
		}
		var next stale
		for next = range c.todo {
			break
		}
		delete(c.todo, next)
		c.mu.Unlock()
		c.one(b, next)
	}
}

// one asks Redis itself, since the cache may be behind: an incarnation that has
// lost its lease never gets it back, and it had the lease before it entered any set.
func (c *cleaner) one(b *Backplane, s stale) {
	ctx, cancel := b.reach.bound(context.Background())
	defer cancel()
	value, err := b.client.Do(ctx, b.client.B().Get().Key(b.keys.lease(s.hubID)).Build()).ToString()
	if err != nil && !rueidis.IsRedisNil(err) || value == s.incarnation {
		return
	}
	_ = b.client.Do(ctx, b.client.B().Srem().Key(s.key).Member(s.String()).Build()).Error() // it is met again
}
