package redistarget

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/rueidis"

	"github.com/alkdev/hubspoke/internal/redisserver"
)

// What the modes need at least: RESP3, and sharded pub/sub.
const (
	plainVersion   = 6
	shardedVersion = 7
)

// checkServer checks the version of Redis, and the database where the prefix may be another installation's too. A
// Redis that does not let the user ask is taken as it comes: a link that does not work reports that.
func (t *Target) checkServer() error {
	ctx, cancel := context.WithTimeout(t.closing, 2*t.opts.Timeout)
	defer cancel()
	version, major, err := redisserver.Version(ctx, t.client)
	if err != nil {
		return explain("ask for its version", err)
	}
	if err := checkVersion(version, major, t.sharded); err != nil {
		return err
	}
	if t.opts.Prefix != DefaultPrefix && t.opts.ProbePrefix != DefaultProbePrefix {
		return nil
	}
	n, err := redisserver.Database(ctx, t.client)
	switch {
	case err != nil:
		return explain("ask for its database", err)
	case n != 0:
		return fmt.Errorf("redistarget: %w", redisserver.DatabaseError(n, "Options.Prefix and Options.ProbePrefix"))
	}
	return nil
}

// checkVersion compares a version, which is empty where it is unknown, with what the mode needs.
func checkVersion(version string, major int, sharded bool) error {
	switch {
	case version == "":
		return nil
	case major < plainVersion:
		return fmt.Errorf("redistarget: Redis is version %s, %d or later is needed", version, plainVersion)
	case sharded && major < shardedVersion:
		return fmt.Errorf("redistarget: Redis is version %s, sharded pub/sub needs %d: upgrade, or set Options.Mode to redistarget.Plain",
			version, shardedVersion)
	}
	return nil
}

// explain says what to do about an error of New.
func explain(what string, err error) error {
	hint := "is it running, and is the client's address right?"
	if e, ok := errors.AsType[*rueidis.RedisError](err); ok {
		code, _, _ := strings.Cut(e.Error(), " ")
		switch code {
		case "NOAUTH", "WRONGPASS":
			hint = "set Username and Password in rueidis.ClientOption"
		case "NOPERM":
			hint = "the user needs the commands of pub/sub, and the channels of Options.Prefix and Options.ProbePrefix"
		default:
			hint = "Redis refused"
		}
	}
	return fmt.Errorf("redistarget: %s: %s: %w", what, hint, err)
}
