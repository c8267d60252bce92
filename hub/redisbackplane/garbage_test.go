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

func lookups(t *testing.T, dir hub.Directory) []error {
	_, _, err := dir.Spoke(t.Context(), "on-b")
	_, err2 := dir.Providers(t.Context(), "test.who")
	_, err3 := dir.Hubs(t.Context())
	return []error{err, err2, err3}
}
