package redisbackplane

import (
	"context"
	"fmt"
	"strings"

	"github.com/alkdev/hubspoke/internal/redisserver"
	"github.com/alkdev/hubspoke/pubsub/redistarget"
)

const neededVersion = 7

// checkServer checks the version of Redis, the number of the database, and the rights of the user.
func (b *Backplane) checkServer(ctx context.Context) error {
	version, major, err := redisserver.Version(ctx, b.client)
	if err != nil {
		return explain("the Redis of the client", err)
	}
	if version != "" && major < neededVersion {
		return fmt.Errorf("%w: the Redis of the Redis URL is version %s, %d or later is needed", ErrOptions, version, neededVersion)
	}
	if b.opts.Prefix == DefaultPrefix || b.opts.EventPrefix == redistarget.DefaultPrefix {
		n, err := redisserver.Database(ctx, b.client)
		if err != nil {
			return explain("the Redis of the client", err)
		}
		if n != 0 {
			return fmt.Errorf("%w: %w", ErrOptions, redisserver.DatabaseError(n, "Options.Prefix"))
		}
	}
	denied, err := redisserver.Denied(ctx, b.client, b.commands())
	if err != nil {
		return explain("the Redis of the client", err)
	}
	if len(denied) > 0 {
		return fmt.Errorf("%w: the Redis user lacks rights that the backplane needs; add them to its ACL: %s",
			ErrOptions, strings.Join(denied, ", "))
	}
	return nil
}

// commands are what the backplane sends, each with the keys and channels of an imaginary hub: New asks whether
// the user may send them. docs/operations.md has the same list for an operator.
func (b *Backplane) commands() [][]string {
	k := b.keys
	record, set, lease, mail := k.record("x"), k.hubs(), k.lease("x"), k.mail("x")
	list := [][]string{
		{"EVAL", "return 0", "0"}, {"EVALSHA", "0", "0"}, {"SCRIPT", "LOAD", "return 0"},
		{"CLIENT", "TRACKING", "ON"}, {"CLIENT", "CACHING", "YES"}, {"MULTI"}, {"EXEC"}, {"TIME"},
		{"HGETALL", record}, {"HMGET", record, "hub"}, {"HSET", record, "hub", "x"}, {"DEL", record},
		{"PEXPIRE", record, "1"}, {"PTTL", record},
		{"SADD", set, "x"}, {"SREM", set, "x"}, {"SMEMBERS", set},
		{"GET", lease}, {"SET", lease, "x"},
		{"RPUSH", mail, "x"}, {"LRANGE", mail, "0", "1"}, {"LTRIM", mail, "0", "1"},
	}
	events, probe := b.opts.EventPrefix+"hub.spoke.connected", b.opts.probePrefix()+"x"
	plain := b.opts.EventMode == redistarget.Plain || b.opts.EventMode == redistarget.Auto && !b.cluster
	list = append(list, pubSubCommands(!b.cluster, k.inbox("x"))...)
	return append(append(list, pubSubCommands(plain, events)...), pubSubCommands(plain, probe)...)
}

func pubSubCommands(plain bool, channel string) [][]string {
	if plain {
		return [][]string{{"PUBLISH", channel, "x"}, {"SUBSCRIBE", channel}, {"UNSUBSCRIBE", channel}}
	}
	return [][]string{{"SPUBLISH", channel, "x"}, {"SSUBSCRIBE", channel}, {"SUNSUBSCRIBE", channel}}
}
