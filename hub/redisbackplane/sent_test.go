package redisbackplane_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

// counting is a client that counts what is sent through it. Tests count commands instead of seconds: a busy
// machine makes both slower, but only a fault makes them more.
type counting struct {
	rueidis.Client
	mu sync.Mutex     // guards the field below
	by map[string]int // by the command, and the kind of its first key or channel
}

// kinds are the keys and channels of the backplane, by what follows the prefix or ends the name.
var kinds = []string{":lease", ":mail", "hubs", "spoke:", "op:", "inbox:", "probe:"}

func (c *counting) note(command []string) {
	name := strings.ToLower(command[0])
	arg := ""
	switch {
	case name == "evalsha" || name == "eval":
		arg = command[3]
	case len(command) > 1:
		arg = command[1]
	}
	_, key, own := strings.Cut(arg, "hubspoke:")
	if !own {
		key = arg // of a channel on which a subscription is probed
	}
	for _, k := range kinds {
		if strings.HasSuffix(key, k) && k[0] == ':' || strings.HasPrefix(key, k) || !own && strings.Contains(key, k) {
			name += " " + strings.Trim(k, ":")
			break
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by == nil {
		c.by = make(map[string]int)
	}
	c.by[name]++
}

// sent is how many commands of the names have been sent.
func (c *counting) sent(names ...string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, k := range c.by {
		if slices.Contains(names, name) {
			n += k
		}
	}
	return n
}

// renewals is how often the hubs of the client have renewed their lease, or tried to take it back.
func (c *counting) renewals() int { return c.sent("evalsha lease") }

// forCalls is how many commands were sent for calls: lookups, and messages to other hubs.
func (c *counting) forCalls() int {
	return c.sent("hgetall spoke", "smembers op", "smembers hubs", "get lease") + c.messages()
}

// messages is how many messages were sent to other hubs, ticks of links included.
func (c *counting) messages() int { return c.sent("publish inbox", "spublish inbox") }

func (c *counting) Do(ctx context.Context, cmd rueidis.Completed) rueidis.RedisResult {
	c.note(cmd.Commands())
	return c.Client.Do(ctx, cmd)
}

func (c *counting) DoMulti(ctx context.Context, multi ...rueidis.Completed) []rueidis.RedisResult {
	for _, cmd := range multi {
		c.note(cmd.Commands())
	}
	return c.Client.DoMulti(ctx, multi...)
}

func (c *counting) DoCache(ctx context.Context, cmd rueidis.Cacheable, ttl time.Duration) rueidis.RedisResult {
	c.note(cmd.Commands())
	return c.Client.DoCache(ctx, cmd, ttl)
}

func (c *counting) DoMultiCache(ctx context.Context, multi ...rueidis.CacheableTTL) []rueidis.RedisResult {
	for _, cmd := range multi {
		c.note(cmd.Cmd.Commands())
	}
	return c.Client.DoMultiCache(ctx, multi...)
}
