package redistarget_test

import (
	"strings"
	"testing"

	"github.com/redis/rueidis"

	"github.com/alkdev/hubspoke/internal/redistest"
	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/pubsub/redistarget"
)

// A database other than 0 needs prefixes of its own: pub/sub ignores its number.
func TestDatabaseNeedsAPrefix(t *testing.T) {
	server := redistest.Start(t)
	client := newClientWith(t, rueidis.ClientOption{InitAddress: []string{server.Addr()}, SelectDB: 3})
	for _, o := range []*redistarget.Options{nil, {Prefix: "dev:events:"}, {ProbePrefix: "dev:probe:"}} {
		if _, err := redistarget.New(client, o); err == nil || !strings.Contains(err.Error(), "database 3") {
			t.Errorf("%+v: %v", o, err)
		}
	}
	target := newTarget(t, client, &redistarget.Options{Prefix: "dev:events:", ProbePrefix: "dev:probe:"})
	recorder := listen(t, target, "topic")
	dispatch(t, target, "topic", "1")
	want(t, recorder, "1")
	for _, channel := range strings.Fields(server.Do("PUBSUB", "CHANNELS")) {
		if !strings.HasPrefix(channel, "dev:") {
			t.Errorf("channel %s", channel)
		}
	}
}

// An UNSUBSCRIBE that Redis refuses is reported, and not taken for a slot that has moved.
func TestRefusedUnsubscribe(t *testing.T) {
	server := redistest.Start(t)
	server.Do("ACL", "SETUSER", "limited", "on", ">pw", "+@all", "-unsubscribe", "-info", "-client|info", "&*")
	client := newClientWith(t, rueidis.ClientOption{InitAddress: []string{server.Addr()}, Username: "limited", Password: "pw"})
	reported := make(chan error, 16)
	target := newTarget(t, client, &redistarget.Options{OnError: func(err error) { reported <- err }})
	stop, err := target.Listen(testContext(t), "topic", func(pubsub.Event) {})
	if err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-reported; !strings.Contains(err.Error(), `unsubscribe from "topic"`) || !strings.Contains(err.Error(), "NOPERM") {
		t.Errorf("reported: %v", err)
	}
	recorder := listen(t, target, "topic")
	dispatch(t, target, "topic", "1")
	want(t, recorder, "1")
}
