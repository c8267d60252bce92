// Package redisserver asks a Redis what the packages on it must know before they start: its version, the
// number of the database, and what the user may do. A Redis that does not let the user ask for the first two
// is taken as it comes.
package redisserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/rueidis"
)

// Version returns the version of the Redis, such as "7.2.4", and its first number. Both are empty and 0 for a
// Redis that does not report it: INFO requires a right, and some services omit the version.
func Version(ctx context.Context, client rueidis.Client) (version string, major int, err error) {
	info, err := client.Do(ctx, client.B().Info().Section("server").Build()).ToString()
	if err != nil {
		return "", 0, unlessRefused(err)
	}
	version, major = parseVersion(info)
	return version, major, nil
}

func parseVersion(info string) (version string, major int) {
	_, rest, _ := strings.Cut(info, "redis_version:")
	version, _, _ = strings.Cut(rest, "\n")
	version = strings.TrimSpace(version)
	first, _, _ := strings.Cut(version, ".")
	major, err := strconv.Atoi(first)
	if err != nil {
		return "", 0
	}
	return version, major
}

// Database returns the number of the database that the client uses, or 0 if Redis does not report it. A
// Cluster has no other than 0.
func Database(ctx context.Context, client rueidis.Client) (int, error) {
	if client.Mode() == rueidis.ClientModeCluster {
		return 0, nil
	}
	info, err := client.Do(ctx, client.B().ClientInfo().Build()).ToString()
	if err != nil {
		return 0, unlessRefused(err)
	}
	for field := range strings.FieldsSeq(info) {
		if text, ok := strings.CutPrefix(field, "db="); ok {
			n, _ := strconv.Atoi(text) // 0 for what is no number
			return n, nil
		}
	}
	return 0, nil
}

// DatabaseError is the error for a database other than 0 whose channels would be those of database 0.
// option names the option that has to be set.
func DatabaseError(n int, option string) error {
	return fmt.Errorf("the client uses database %d, but pub/sub ignores the number of the database, so another "+
		"installation on this Redis would share its channels: use database 0, or set %s to a prefix of this installation's own", n, option)
}

// unlessRefused returns nil for a command that the user may not send, or that the Redis does not have.
func unlessRefused(err error) error {
	if e, ok := errors.AsType[*rueidis.RedisError](err); ok {
		if text := e.Error(); strings.HasPrefix(text, "NOPERM") || strings.HasPrefix(strings.ToLower(text), "err unknown") {
			return nil
		}
	}
	return err
}

// deniedScript returns which of the commands in ARGV, each a list of words as JSON, the user may not send. A
// command that this Redis does not have counts as allowed: what needs it reports that.
var deniedScript = rueidis.NewLuaScriptNoSha(`
local denied = {}
for i, text in ipairs(ARGV) do
  local words = cjson.decode(text)
  local known, allowed = pcall(function() return redis.acl_check_cmd(unpack(words)) end)
  if known and not allowed then denied[#denied + 1] = i end
end
return denied
`)

// Denied returns those of the commands that the user of the client may not send. It needs the right to EVAL.
func Denied(ctx context.Context, client rueidis.Client, commands [][]string) ([]string, error) {
	args := make([]string, len(commands))
	for i, words := range commands {
		text, _ := json.Marshal(words) // strings always marshal
		args[i] = string(text)
	}
	list, err := deniedScript.Exec(ctx, client, nil, args).AsIntSlice()
	if err != nil {
		return nil, err
	}
	var out []string
	for _, i := range list {
		if i >= 1 && int(i) <= len(commands) {
			out = append(out, strings.Join(commands[i-1], " "))
		}
	}
	return out, nil
}
