package redisbackplane_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/redisbackplane"
	"github.com/alkdev/hubspoke/internal/redistest"
	"github.com/alkdev/hubspoke/transport"
)

// timed is a client that notes how much time each command has.
type timed struct {
	rueidis.Client
	mu       sync.Mutex // guards the fields below
	left     map[string]time.Duration
	contexts map[string]context.Context
}

// note records the time of a command; none is a negative time.
func (c *timed) note(ctx context.Context, words []string) {
	left := time.Duration(-1)
	if deadline, ok := ctx.Deadline(); ok {
		left = time.Until(deadline)
	}
	name := words[0]
	if strings.HasPrefix(name, "EVAL") {
		name += " " + words[3]
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left[name] = left
	ctx.Done() // as a command that waits does
	c.contexts[name] = ctx
}

func (c *timed) Do(ctx context.Context, cmd rueidis.Completed) rueidis.RedisResult {
	c.note(ctx, cmd.Commands())
	return c.Client.Do(ctx, cmd)
}

func (c *timed) DoMulti(ctx context.Context, multi ...rueidis.Completed) []rueidis.RedisResult {
	for _, cmd := range multi {
		c.note(ctx, cmd.Commands())
	}
	return c.Client.DoMulti(ctx, multi...)
}

func (c *timed) DoCache(ctx context.Context, cmd rueidis.Cacheable, ttl time.Duration) rueidis.RedisResult {
	c.note(ctx, cmd.Commands())
	return c.Client.DoCache(ctx, cmd, ttl)
}

func (c *timed) DoMultiCache(ctx context.Context, multi ...rueidis.CacheableTTL) []rueidis.RedisResult {
	for _, cmd := range multi {
		c.note(ctx, cmd.Cmd.Commands())
	}
	return c.Client.DoMultiCache(ctx, multi...)
}

// Every command has Options.Timeout, or the time of the caller's context if that is less, and its timer ends with the call.
// Only a message with frames may have up to a quarter more, and shares a timer with the next one.
func TestEveryCommandHasItsTime(t *testing.T) {
	const timeout, own = time.Hour, time.Minute
	server := redistest.Start(t)
	for name, c := range map[string]struct {
		ctx         context.Context
		least, most time.Duration
	}{
		"Timeout": {t.Context(), timeout - 5*time.Minute, timeout},
		"context": {withDeadline(t, own), own - 20*time.Second, own},
	} {
		t.Run(name, func(t *testing.T) {
			server.Do("FLUSHALL")
			client, err := redisbackplane.Connect(server.URL())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(client.Close)
			times := &timed{Client: client, left: map[string]time.Duration{}, contexts: map[string]context.Context{}}
			bp, err := redisbackplane.New(times, &redisOptions{Timeout: timeout})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(bp.Close)
			dir, links := bp.Backplane().Directory, bp.Backplane().Links
			check := func(what string, least, most time.Duration, err error) {
				t.Helper()
				if err != nil {
					t.Errorf("%s: %v", what, err)
				}
				times.mu.Lock()
				defer times.mu.Unlock()
				for command, left := range times.left {
					if left < least || left > most {
						t.Errorf("%s: %s has %v, want %v to %v", what, command, left, least, most)
					}
				}
				if len(times.left) == 0 {
					t.Errorf("%s sends nothing", what)
				}
				for command, ctx := range times.contexts {
					if ctx.Err() == nil && what != "Write" {
						t.Errorf("%s: the timer of %s runs on", what, command)
					}
				}
				clear(times.left)
				clear(times.contexts)
			}
			clear(times.left)
			clear(times.contexts)
			leave, err := dir.Join(c.ctx, "near", func(hub.Record) {})
			check("Join", min(c.least, own), timeout, err)
			leaveFar, err := join(t, server.URL(), nil).Backplane().Links.Join("far", func(string, transport.Conn) {})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(leaveFar)
			leaveNear, err := links.Join("near", func(string, transport.Conn) {})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(leaveNear)
			clear(times.left)
			clear(times.contexts)
			far := fmt.Sprint(time.Now().UnixMilli() - 1000)
			server.Do("SET", "alk:hubspoke:hub:{other}:lease", "life", "PX", "100000")
			server.Do("HSET", "alk:hubspoke:spoke:{x}", "hub", "other", "inc", "life", "gen", far, "id", "someone", "inst", "p", "att", "1", "tok", "t")
			server.Do("SADD", "alk:hubspoke:op:{a.b}", "life:other")
			_, _, err = dir.Spoke(c.ctx, "x")
			check("Spoke", c.least, c.most, err)
			_, err = dir.Providers(c.ctx, "a.b")
			check("Providers", c.least, c.most, err)
			_, err = dir.Hubs(c.ctx)
			check("Hubs", c.least, c.most, err)
			generation, err := dir.Claim(c.ctx, hub.Record{SpokeID: "x", HubID: "near", IdentityID: "someone", InstanceID: "q", Attempt: 1})
			check("Claim", c.least, c.most, err)
			check("Provide", c.least, c.most, dir.Provide(c.ctx, "near", "a.b"))
			check("Withdraw", c.least, c.most, dir.Withdraw(c.ctx, "near", "a.b"))
			check("Release", c.least, c.most, dir.Release(c.ctx, "near", "x", generation))
			conn, err := links.Dial(c.ctx, "near", "far")
			check("Dial", c.least, c.most, err)
			err = conn.Write([][]byte{[]byte("1")})
			check("Write", timeout-5*time.Minute, timeout*5/4, err)
			leaveNear() // it waits for what the link still sends
			clear(times.left)
			clear(times.contexts)
			leave(c.ctx)
			check("leave", c.least, timeout, nil)
		})
	}
}

// withDeadline returns a context with a deadline.
func withDeadline(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
