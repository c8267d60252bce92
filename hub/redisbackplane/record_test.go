package redisbackplane_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/internal/redistest"
)

// A record whose generation is no whole number, or more than a day ahead, is garbage: it is not believed, the
// next writing replaces it, its own hub repairs it, and nothing else notices.
func TestGarbageGenerations(t *testing.T) {
	server := redistest.Start(t)
	o := &redisOptions{Lease: 600 * time.Millisecond}
	a, b := startNode(t, server.URL(), "hub-a", o), startNode(t, server.URL(), "hub-b", o)
	b.Spoke("on-b", nil, serve("on-b"))
	b.Spoke("victim", nil, serve("victim"))
	key := "alk:hubspoke:spoke:{victim}"
	within(t, time.Second, "it is seen", func() bool { return calls(t, a.Hub, "victim", call.To("victim")) })
	incarnation := server.Do("HGET", key, "inc")
	tooFar := time.Now().Add(48 * time.Hour).UnixMilli()
	for _, gen := range []string{"1e308", "-1e308", "inf", "nan", "", "x", "-5", "1.5", "0x10", " 7", "9223372036854775807",
		"99999999999999999999", strconv.FormatInt(tooFar, 10)} {
		server.Do("HSET", key, "gen", gen)
		within(t, o.Lease, fmt.Sprintf("the hub of the spoke repairs %q", gen), func() bool {
			return server.Do("HGET", key, "gen") != gen && calls(t, a.Hub, "victim", call.To("victim"))
		})
		// A record without an owner: the first claim of the id succeeds.
		lost := "alk:hubspoke:spoke:{lost}"
		server.Do("HSET", lost, "hub", "hub-b", "inc", incarnation, "gen", gen, "id", "somebody", "inst", "", "att", "0", "tok", "x")
		if _, found, err := a.bp.Backplane().Directory.Spoke(t.Context(), "lost"); found || err != nil {
			t.Errorf("generation %q is believed: %v", gen, err)
		}
		s := a.Spoke("lost", nil, serve("lost"))
		within(t, time.Second, "it is claimed", func() bool { return calls(t, b.Hub, "lost", call.To("lost")) })
		if g, err := strconv.ParseInt(server.Do("HGET", lost, "gen"), 10, 64); err != nil || g >= tooFar {
			t.Errorf("after generation %q the next one is %d, %v", gen, g, err)
		}
		s.Stop()
		if !calls(t, a.Hub, "on-b", call.To("on-b")) {
			t.Error("another spoke is not found")
		}
		for _, n := range []*node{a, b} {
			within(t, time.Second, "all is well", func() bool { return healthy(n) })
		}
	}
	if n := a.bp.Stats().GarbageKeys; n == 0 {
		t.Error("no garbage was counted")
	}
}

// One record that Redis refuses to write stops no other from being written, nor an operation.
func TestOneRefusedRecordStopsNothing(t *testing.T) {
	server := redistest.Start(t)
	server.Do("ACL", "SETUSER", "limited", "on", ">pw", "+@all", "&*", "~alk:hubspoke:hub*", "~alk:hubspoke:spoke:{good*", "~alk:hubspoke:spoke:{x}",
		"~alk:hubspoke:op:*")
	b := startNode(t, "redis://limited:pw@"+server.Addr(), "hub-b", &redisOptions{Lease: time.Second})
	a := startNode(t, server.URL(), "hub-a", nil)
	for i := range 10 {
		b.Spoke(fmt.Sprint("bad-", i), nil, nil)
	}
	within(t, time.Second, "health reports it", func() bool { return !healthy(b) })
	a.Spoke("good-a", nil, serve("good-a"))
	for range 20 { // a refusal does not mean that Redis cannot be reached
		if err := fails(t, b, call.To("good-a")); err != nil {
			t.Fatalf("a call to another hub: %v", err)
		}
	}
	for i := range 10 {
		id := fmt.Sprint("good-", i)
		b.Spoke(id, nil, serve(id))
		within(t, time.Second, "what is allowed is written", func() bool { return calls(t, a.Hub, id, call.To(id)) })
	}
	server.Do("DEL", "alk:hubspoke:spoke:{good-3}", "alk:hubspoke:spoke:{good-7}", "alk:hubspoke:op:{test.who.good-5}")
	server.Do("CLIENT", "KILL", "TYPE", "normal") // so that all is written again
	for _, id := range []string{"good-3", "good-7", "good-5"} {
		within(t, 2*time.Second, "what is allowed is written again", func() bool {
			who, err := call.Invoke[string](t.Context(), a.Hub, "test.who."+id, nil)
			return err == nil && who == id && calls(t, a.Hub, id, call.To(id))
		})
	}
	if err := b.bp.Health(); err.Status != hub.StatusDegraded {
		t.Errorf("health: %+v", err)
	}
}

// A spoke that was released is not written again: not by what checks the records, nor by what writes all again.
func TestReleasedSpokeStaysGone(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server.URL(), "hub-a", &redisOptions{Lease: 300 * time.Millisecond})
	for name, again := range map[string]func(){
		"checks":               func() {},
		"another one is lost":  func() { server.Do("DEL", "alk:hubspoke:spoke:{stays}") },
		"all is written again": func() { server.Do("DEL", "alk:hubspoke:hub:{hub-a}:lease") },
	} {
		t.Run(name, func(t *testing.T) {
			stays, leaves := n.Spoke("stays", nil, nil), n.Spoke("leaves", nil, nil)
			defer stays.Stop()
			leaves.Stop()
			within(t, time.Second, "it is released", func() bool { return server.Do("EXISTS", "alk:hubspoke:spoke:{leaves}") == "0" })
			again()
			begin := n.sent.renewals()
			redistest.Poll(t, "two leases", func() bool { return n.sent.renewals() >= begin+7 })
			if server.Do("EXISTS", "alk:hubspoke:spoke:{leaves}") != "0" {
				t.Error("the record of a spoke that has left was restored")
			}
			if server.Do("EXISTS", "alk:hubspoke:spoke:{stays}") != "1" {
				t.Error("the record of a spoke that is there is gone")
			}
		})
	}
}

// A record that was deleted is restored within a lease, which is three renewals.
func TestLostRecordReturns(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server.URL(), "hub-a", &redisOptions{Lease: time.Second})
	n.Spoke("there", nil, nil)
	key := "alk:hubspoke:spoke:{there}"
	before := server.Do("HGETALL", key)
	for range 3 {
		begin := n.sent.renewals()
		server.Do("DEL", key)
		redistest.Poll(t, "the record to return", func() bool { return server.Do("EXISTS", key) == "1" })
		// Three renewals, and what writes the record: the lease twice.
		if took := n.sent.renewals() - begin; took > 5 {
			t.Errorf("the record returned after %d renewals", took)
		}
	}
	if after := server.Do("HGETALL", key); after != before {
		t.Errorf("the record was\n%s\nand is\n%s", before, after)
	}
}

// A renewal looks at 32 records at most, however many the hub has.
func TestRenewalChecksSomeRecords(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, server.URL(), "hub-a", &redisOptions{Lease: 300 * time.Millisecond})
	dir := n.bp.Backplane().Directory
	for i := range 100 {
		if _, err := dir.Claim(t.Context(), hub.Record{SpokeID: strconv.Itoa(i), HubID: "hub-a", IdentityID: "someone"}); err != nil {
			t.Fatal(err)
		}
	}
	checked := func() int { return n.sent.sent("hgetall spoke") }
	renewals, before := n.sent.renewals(), checked()
	redistest.Poll(t, "ten renewals", func() bool { return n.sent.renewals() >= renewals+10 })
	got := checked() - before
	if most := 32 * (n.sent.renewals() - renewals + 1); got < 64 || got > most {
		t.Errorf("%d records were checked, want 64 to %d", got, most)
	}
}
