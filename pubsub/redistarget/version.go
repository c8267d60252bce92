package redistarget

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/rueidis"
)

// What the modes need at least: RESP3, and sharded pub/sub.
const (
	plainVersion   = 6
	shardedVersion = 7
)

// checkVersion asks Redis what it is. A Redis that may not say is taken as it
// comes: a link that does not work will tell.
func (t *Target) checkVersion() error {
	ctx, cancel := context.WithTimeout(t.closing, t.opts.Timeout)
	defer cancel()
	info, err := t.client.Do(ctx, t.client.B().Info().Section("server").Build()).ToString()
	if err == nil {
		return checkInfo(info, t.sharded)
	}
	if e, ok := rueidis.IsRedisErr(err); ok && strings.HasPrefix(e.Error(), "NOPERM") {
		return nil
	}
	return explain("ask for its version", err)
}

// checkInfo looks for the version in what INFO replies.
func checkInfo(info string, sharded bool) error {
	_, rest, found := strings.Cut(info, "redis_version:")
	version, _, _ := strings.Cut(rest, "\n")
	version = strings.TrimSpace(version)
	text, _, _ := strings.Cut(version, ".")
	major, err := strconv.Atoi(text)
	switch {
	case !found || err != nil:
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
	if e, ok := rueidis.IsRedisErr(err); ok {
		code, _, _ := strings.Cut(e.Error(), " ")
		switch code {
		case "NOAUTH", "WRONGPASS":
			hint = "set Username and Password in rueidis.ClientOption"
		case "NOPERM":
			hint = "the user needs the commands of pub/sub, and the channels of Options.Prefix and of " + probePrefix
		default:
			hint = "Redis refused"
		}
	}
	return fmt.Errorf("redistarget: %s: %s: %w", what, hint, err)
}
