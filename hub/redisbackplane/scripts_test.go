package redisbackplane

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/redis/rueidis"

	"github.com/alkdev/hubspoke/internal/redistest"
)

// A script that Redis refuses a command changes nothing and reports the error; only a value of another type is deleted.
func TestScriptsReportErrors(t *testing.T) {
	server := redistest.Start(t)
	for name, c := range map[string]struct {
		script  *rueidis.Lua
		command string // the first one of the script that touches a key
		keys    []string
		args    []string
		there   [][]string // made before
	}{
		"claim": {claimScript, "hmget", []string{"r"}, []string{"h", "i", "id", "inst", "1", "tok", "5", "0", "", "1000", "claim", "9999999999999"},
			[][]string{{"HSET", "r", "hub", "other", "inc", "x", "gen", "3", "id", "id", "inst", "", "att", "0", "tok", "t"}}},
		"settle": {claimScript, "hmget", []string{"r"}, []string{"h", "i", "id", "inst", "1", "tok", "5", "0", "", "1000", "settle", "0"},
			[][]string{{"HSET", "r", "hub", "other", "inc", "x", "gen", "3", "id", "id", "inst", "", "att", "0", "tok", "t"}}},
		"release": {releaseScript, "hmget", []string{"r"}, []string{"h", "5", "tok"},
			[][]string{{"HSET", "r", "hub", "h", "gen", "5", "tok", "tok"}}},
		"member": {memberScript, "sadd", []string{"s"}, []string{"i:h", "1000"}, [][]string{{"SADD", "s", "x:other"}}},
		"join":   {joinScript, "get", []string{"{h}l"}, []string{"i", "i", "1000"}, [][]string{{"SET", "{h}l", "x", "PX", "100000"}}},
		"renew": {renewScript, "get", []string{"{h}l", "{h}m"}, []string{"i", "1000"},
			[][]string{{"SET", "{h}l", "i", "PX", "100000"}, {"RPUSH", "{h}m", "letter"}}},
		"mail in renew": {renewScript, "lrange", []string{"{h}l", "{h}m"}, []string{"i", "100000"},
			[][]string{{"SET", "{h}l", "i", "PX", "100000"}, {"RPUSH", "{h}m", "letter"}}},
		"leave": {leaveScript, "get", []string{"{h}l", "{h}m"}, []string{"i"},
			[][]string{{"SET", "{h}l", "i", "PX", "100000"}, {"RPUSH", "{h}m", "letter"}}},
		"mail": {mailScript, "rpush", []string{"m"}, []string{"x", "1000"}, [][]string{{"RPUSH", "m", "letter"}}},
	} {
		t.Run(name, func(t *testing.T) {
			server.Do("FLUSHALL")
			for _, command := range c.there {
				server.Do(command...)
			}
			user := "no" + c.command
			server.Do("ACL", "SETUSER", user, "on", "nopass", "~*", "&*", "+@all", "-"+c.command)
			client, err := Connect(fmt.Sprintf("redis://%s:x@%s", user, server.Addr()))
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			before := dump(server, c.keys)
			err = c.script.Exec(context.Background(), client, c.keys, c.args).Error()
			if err == nil || !refused(err) {
				t.Errorf("the error of Redis is not reported: %v", err)
			}
			if after := dump(server, c.keys); after != before {
				t.Errorf("the keys were %q and are %q", before, after)
			}
		})
	}
}

func dump(server *redistest.Server, keys []string) string {
	var all []string
	for _, k := range keys {
		all = append(all, server.Do("DUMP", k))
	}
	return strings.Join(all, "|")
}
