package redisbackplane_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/redisbackplane"
	"github.com/alkdev/hubspoke/internal/redistest"
)

// Two installations with different prefixes share nothing of one Redis: no key, no channel, no event, no presence,
// also in different databases, and hubs of the same id are different ones.
func TestInstallationsAreApart(t *testing.T) {
	server := redistest.Start(t)
	one := startNode(t, server.URL(), "the-hub", &redisOptions{Prefix: "one:"})
	two := startNode(t, server.URL()+"/2", "the-hub", &redisOptions{Prefix: "two:"})
	three := startNode(t, server.URL(), "the-hub", nil)
	heard := make(chan string, 100)
	for name, n := range map[string]*node{"one": one, "three": three} {
		presence, err := hub.Connected.Subscribe(t.Context(), n.Hub.Events(), "")
		if err != nil {
			t.Fatal(err)
		}
		go func() { // ends with the test's context
			for p, err := range presence.All() {
				if err != nil {
					return
				}
				heard <- name + " hears of " + p.SpokeID
			}
		}()
		events, err := topic.Subscribe(t.Context(), n.Hub.Events(), "x")
		if err != nil {
			t.Fatal(err)
		}
		go func() { // likewise
			for s, err := range events.All() {
				if err != nil {
					return
				}
				heard <- name + " hears " + s
			}
		}()
	}
	two.Spoke("on-two", nil, serve("on-two"))
	if err := topic.Publish(t.Context(), two.Hub.Events(), "x", "two"); err != nil {
		t.Fatal(err)
	}
	for _, channel := range strings.Fields(server.Do("PUBSUB", "CHANNELS")) {
		if !strings.HasPrefix(channel, "one:") && !strings.HasPrefix(channel, "two:") && !strings.HasPrefix(channel, "alk:") {
			t.Errorf("channel %s has the prefix of no installation", channel)
		}
	}
	if keys := server.Do("KEYS", "*two*"); keys != "" {
		t.Errorf("database 0 has %s", keys)
	}
	for name, n := range map[string]*node{"one": one, "three": three} {
		if err := fails(t, n, call.To("on-two")); !errors.Is(err, call.CodeSpokeNotFound) {
			t.Errorf("%s calls a spoke of another installation: %v", name, err)
		}
		if err := topic.Publish(t.Context(), n.Hub.Events(), "x", name); err != nil {
			t.Fatal(err)
		}
	}
	// Each receives its own event, and receives it first.
	for range 2 {
		if s := <-heard; s != "one hears one" && s != "three hears three" {
			t.Error(s)
		}
	}
}

func TestDatabaseNeedsAPrefix(t *testing.T) {
	server := redistest.Start(t)
	for name, c := range map[string]struct {
		database string
		o        redisOptions
		refused  bool
	}{
		"database 0":             {"", redisOptions{}, false},
		"0 with a prefix":        {"/0", redisOptions{Prefix: "dev:"}, false},
		"3":                      {"/3", redisOptions{}, true},
		"3 with a prefix":        {"/3", redisOptions{Prefix: "dev:"}, false},
		"3, events alone":        {"/3", redisOptions{EventPrefix: "dev:events:"}, true},
		"3, the default by name": {"/3", redisOptions{Prefix: "dev:", EventPrefix: "alk:events:"}, true},
	} {
		client, err := redisbackplane.Connect(server.URL() + c.database)
		if err != nil {
			t.Fatal(err)
		}
		bp, err := redisbackplane.New(client, &c.o)
		if err == nil {
			bp.Close()
		}
		if c.refused && (!errors.Is(err, redisbackplane.ErrOptions) || !strings.Contains(err.Error(), "database 3") ||
			!strings.Contains(err.Error(), "set Options.Prefix to")) || !c.refused && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		client.Close()
	}
}

// A user without the rights to INFO and CLIENT INFO is accepted; for a user without a needed right the error names it.
func TestUserRights(t *testing.T) {
	server := redistest.Start(t)
	server.Do("ACL", "SETUSER", "noinfo", "on", ">pw", "~*", "&*", "+@all", "-info", "-client|info")
	n := startNode(t, "redis://noinfo:pw@"+server.Addr(), "hub-a", nil)
	n.Spoke("on-a", nil, serve("on-a"))
	within(t, time.Second, "it works", func() bool { return calls(t, startNode(t, server.URL(), "hub-b", nil).Hub, "on-a", call.To("on-a")) })

	for missing, rules := range map[string][]string{
		"SMEMBERS":                                {"~*", "&*", "+@all", "-smembers"},
		"PUBLISH alk:hubspoke:inbox:{x}":          {"~*", "&alk:events:*", "&alk:probe:*", "+@all"},
		"SUBSCRIBE alk:events:hub":                {"~*", "&alk:hubspoke:*", "&alk:probe:*", "+@all"},
		"SUBSCRIBE alk:probe:":                    {"~*", "&alk:hubspoke:*", "&alk:events:*", "+@all"},
		"HSET alk:hubspoke:spoke:{x}":             {"~other:*", "&*", "+@all"},
		"EVAL":                                    {"~*", "&*", "+@all", "-eval"},
		"HSET alk:hubspoke:spoke:{x} hub x, DEL ": {"~*", "&*", "+@all", "-hset", "-del"},
	} {
		server.Do(append([]string{"ACL", "SETUSER", "weak", "reset", "on", ">pw"}, rules...)...)
		client, err := redisbackplane.Connect("redis://weak:pw@" + server.Addr())
		if err != nil {
			t.Fatal(err)
		}
		_, err = redisbackplane.New(client, nil)
		if !errors.Is(err, redisbackplane.ErrOptions) || !strings.Contains(strings.ToUpper(err.Error()), strings.ToUpper(missing)) {
			t.Errorf("without %s: %v", missing, err)
		}
		client.Close()
	}
}
