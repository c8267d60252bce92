package redisbackplane_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/internal/redistest"
)

// A neighbour that writes into our channels and keys breaks nothing for long.
func TestGarbage(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	var out bytes.Buffer
	log := zerolog.New(zerolog.SyncWriter(&out))
	o := &redisOptions{Lease: time.Second, Logger: &log}
	a, b := startNode(t, server.URL(), "hub-a", o), startNode(t, server.URL(), "hub-b", nil)
	b.Spoke("on-b", nil, serve("on-b"))
	within(t, time.Second, "it is seen", func() bool { return calls(t, a.Hub, "on-b") })
	messages := []string{
		"", "x", "{}", "null", "[]", `{"from":1}`, `{"from":"hub-b"}`, `{"from":"hub-b","incarnation":"x"}`,
		`{"from":"hub-b","incarnation":"x","to":"y","seq":1,"sizes":[1],"frames":["`,
		`{"from":"hub-b","incarnation":"x","to":"","seq":9,"sizes":[99999999999],"frames":[]}`,
		`{"from":"hub-b","incarnation":"x","to":"","seq":1,"sizes":[-1],"frames":[x]}`,
		`{"from":"hub-b","incarnation":"x","to":"","seq":-1,"open":true}`,
		`{"from":"hub-b","mail":"x"}`, `{"from":"hub-b","mail":{"spoke":"x"}}`, `{"from":"hub-b","mail":{"spoke":"x","hub":"y","generation":"z"}}`,
		`{"from":"hub-b","probe":"x"}`, `{"from":"hub-b","reset":true}`, `{"from":"hub-b","to":"x","reset":true}`,
		`{"incarnation":"q.1","from":"nobody","open":true,"to":""}`, strings.Repeat("[", 100000),
	}
	for _, m := range messages {
		server.Do("PUBLISH", "alk:hubspoke:inbox:{hub-a}", m)
	}
	within(t, time.Second, "garbage is counted", func() bool { return a.bp.Stats().GarbageMessages >= 8 })

	keys := strings.Fields(server.Do("KEYS", "alk:hubspoke:*"))
	for _, value := range [][]string{{"SET", "", "x"}, {"LPUSH", "", "x"}, {"HSET", "", "hub", "x"}, {"SADD", "", "x", ":", "x:"}} {
		for _, key := range keys {
			server.Do("DEL", key)
			value[1] = key
			server.Do(value...)
		}
		server.Do("RPUSH", "alk:hubspoke:hub:{hub-a}:mail", "x")
		for _, n := range []*node{a, b} {
			dir := n.bp.Backplane().Directory
			for _, err := range lookups(t, dir) {
				if err != nil {
					t.Errorf("%v: %v", value, err)
				}
			}
		}
	}
	within(t, 15*time.Second, "what was there is there again", func() bool { return calls(t, a.Hub, "on-b") })
	b.Spoke("more", nil, serve("more"))
	within(t, time.Second, "a registration is seen", func() bool { return calls(t, a.Hub, "more", toMore) })
	if n := a.bp.Stats().GarbageKeys; n < 3 {
		t.Errorf("%d garbage keys were counted", n)
	}
	a.Hub.Close()
	a.bp.Close()
	if n := strings.Count(out.String(), "holds garbage"); n > 2 {
		t.Errorf("garbage was logged %d times", n)
	}
}

// Each key that a lookup finds with a foreign value is counted, and what else the lookup finds is its answer.
func TestGarbageIsCounted(t *testing.T) {
	const set, record, lease = "alk:hubspoke:op:{a.b}", "alk:hubspoke:spoke:{x}", "alk:hubspoke:hub:{far}:lease"
	server := redistest.Start(t)
	for name, c := range map[string]struct {
		write [][]string
		count uint64
		hubs  string
		found bool
	}{
		"nothing":              {nil, 0, "far", true},
		"members that are not": {[][]string{{"SADD", set, "x", ":", "x:", ":x", ""}}, 5, "far", true},
		"a hub twice":          {[][]string{{"SADD", set, "old:far"}}, 0, "far", true},
		"another set":          {[][]string{{"SET", set, "x"}}, 1, "", true},
		"another record":       {[][]string{{"SET", record, "x"}}, 1, "far", false},
		"another lease":        {[][]string{{"DEL", lease}, {"HSET", lease, "x", "y"}}, 2, "", false},
		"no hub":               {[][]string{{"HDEL", record, "hub"}}, 1, "far", false},
		"no incarnation":       {[][]string{{"HDEL", record, "inc"}}, 1, "far", false},
		"no generation":        {[][]string{{"HDEL", record, "gen"}}, 1, "far", false},
		"a generation below 0": {[][]string{{"HSET", record, "gen", "-1"}}, 1, "far", false},
		"no number":            {[][]string{{"HSET", record, "gen", "1e9"}}, 1, "far", false},
		"no attempt":           {[][]string{{"HDEL", record, "att"}}, 0, "far", true},
		"another life":         {[][]string{{"HSET", record, "inc", "old"}}, 0, "far", false},
		"released":             {[][]string{{"DEL", record}, {"HSET", record, "gen", "5", "gone", "1"}}, 0, "far", false},
	} {
		t.Run(name, func(t *testing.T) {
			dir, _, n := rawDirectory(t, server.URL(), server)
			server.Do("SADD", set, "life:far")
			farRecord(server, record, "0")
			for _, words := range c.write {
				server.Do(words...)
			}
			rec, found, err := dir.Spoke(t.Context(), "x")
			if err != nil || found != c.found || found && rec.HubID != "far" || !found && rec != (hub.Record{}) {
				t.Errorf("Spoke: %+v, %v, %v", rec, found, err)
			}
			hubs, err := dir.Providers(t.Context(), "a.b")
			if got := strings.Join(hubs, " "); err != nil || got != c.hubs {
				t.Errorf("Providers: %q, %v", got, err)
			}
			if got := n.bp.Stats().GarbageKeys; got != c.count {
				t.Errorf("%d were counted, want %d", got, c.count)
			}
		})
	}
}

func lookups(t *testing.T, dir hub.Directory) []error {
	_, _, err := dir.Spoke(t.Context(), "on-b")
	_, err2 := dir.Providers(t.Context(), "test.who")
	_, err3 := dir.Hubs(t.Context())
	return []error{err, err2, err3}
}
