package redisbackplane_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/redisbackplane"
	"github.com/alkdev/hubspoke/internal/redistest"
)

// These tests hold section 9 of the protocol, "Directory": one hub is a backplane, the other one is what the test writes.

const rawLease = time.Second

// rawDirectory joins a hub named near; far has a lease and no process.
func rawDirectory(t *testing.T, url string, server *redistest.Server) (hub.Directory, chan hub.Record, *node) {
	t.Helper()
	return rawDirectoryOn(t, server, join(t, url, &redisOptions{Lease: rawLease}))
}

// rawDirectoryOn is rawDirectory with the near hub's backplane.
func rawDirectoryOn(t *testing.T, server *redistest.Server, bp *redisbackplane.Backplane) (hub.Directory, chan hub.Record, *node) {
	t.Helper()
	server.Do("FLUSHALL")
	n := &node{bp: bp}
	dir := n.bp.Backplane().Directory
	lost := make(chan hub.Record, 100)
	leave, err := dir.Join(t.Context(), "near", func(r hub.Record) { lost <- r })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { leave(context.Background()) })
	server.Do("SET", "alk:hubspoke:hub:{far}:lease", "life", "PX", "100000")
	return dir, lost, n
}

func fieldsOf(server *redistest.Server, key string) map[string]string {
	m := map[string]string{}
	lines := strings.Split(server.Do("HGETALL", key), "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		m[lines[i]] = lines[i+1]
	}
	return m
}

// farRecord writes a record of far's.
func farRecord(server *redistest.Server, key, gen string) {
	server.Do("HSET", key, "hub", "far", "inc", "life", "gen", gen, "id", "someone", "inst", "process", "att", "12", "tok", "t")
}

// A claim writes the record; taking one from another hub leaves a letter in its list and sends it to its inbox.
func TestRecords(t *testing.T) {
	const key = "alk:hubspoke:spoke:{x}"
	server := redistest.Start(t)
	dir, lost, n := rawDirectory(t, server.URL(), server)
	now := func() int64 { return time.Now().UnixMilli() }
	farRecord(server, key, strconv.FormatInt(now()-1000, 10))
	rec, ok, err := dir.Spoke(t.Context(), "x")
	if want := (hub.Record{SpokeID: "x", HubID: "far", Generation: rec.Generation, IdentityID: "someone", InstanceID: "process", Attempt: 12}); rec != want || !ok || err != nil {
		t.Errorf("%+v, %v, %v", rec, ok, err)
	}
	mine := hub.Record{SpokeID: "x", HubID: "near", IdentityID: "someone", InstanceID: "process", Attempt: 12}
	if _, err := dir.Claim(t.Context(), mine); !errors.Is(err, hub.ErrSuperseded) {
		t.Errorf("the same attempt: %v", err)
	}
	mine.Attempt = 13
	begin := now()
	g, err := dir.Claim(t.Context(), mine)
	if err != nil || g < begin || g > now() {
		t.Fatalf("generation %d at %d: %v", g, begin, err)
	}
	inc := server.Do("GET", "alk:hubspoke:hub:{near}:lease")
	f := fieldsOf(server, key)
	if f["hub"] != "near" || f["inc"] != inc || f["gen"] != strconv.FormatInt(g, 10) || f["id"] != "someone" || f["inst"] != "process" ||
		f["att"] != "13" || f["tok"] == "" || len(f) != 7 {
		t.Errorf("record %v", f)
	}
	checkLife := func(key string, least, most time.Duration) {
		t.Helper()
		if ms, _ := strconv.Atoi(server.Do("PTTL", key)); time.Duration(ms)*time.Millisecond <= least || time.Duration(ms)*time.Millisecond > most {
			t.Errorf("%s lives %d ms", key, ms)
		}
	}
	checkLife(key, 23*time.Hour, 24*time.Hour)
	checkLife("alk:hubspoke:hubs", 23*time.Hour, 24*time.Hour)
	checkLife("alk:hubspoke:hub:{near}:lease", 0, rawLease)
	checkLife("alk:hubspoke:hub:{far}:mail", 2*rawLease, 3*rawLease)
	want := fmt.Sprintf(`{"spoke":"x","hub":"near","generation":%d,"identity":"someone","instance":"process","attempt":13}`, g)
	if got := server.Do("LRANGE", "alk:hubspoke:hub:{far}:mail", "0", "-1"); got != want {
		t.Errorf("letter %s\nwant   %s", got, want)
	}
	// The next one is higher, also where the last one is ahead of the clock; the record outlives its release until then.
	ahead := now() + 60_000
	server.Do("HSET", key, "gen", strconv.FormatInt(ahead, 10))
	if g, err = dir.Claim(t.Context(), mine); err != nil || g != ahead+1 {
		t.Errorf("generation %d after %d: %v", g, ahead, err)
	}
	if err := dir.Release(t.Context(), "near", "x", g); err != nil {
		t.Error(err)
	}
	if f := fieldsOf(server, key); len(f) != 2 || f["gen"] != strconv.FormatInt(g, 10) || f["gone"] == "" {
		t.Errorf("after the release: %v", f)
	}
	checkLife(key, 50*time.Second, 62*time.Second)
	if _, ok, err := dir.Spoke(t.Context(), "x"); ok || err != nil {
		t.Errorf("it is still seen: %v", err)
	}
	// A hub whose lease is gone does not conflict with a claim.
	server.Do("DEL", "alk:hubspoke:hub:{far}:lease")
	farRecord(server, "alk:hubspoke:spoke:{y}", "5")
	if _, err := dir.Claim(t.Context(), hub.Record{SpokeID: "y", HubID: "near", IdentityID: "another"}); err != nil {
		t.Error(err)
	}
	// A key with another kind of value is counted and replaced.
	server.Do("SET", "alk:hubspoke:spoke:{z}", "x")
	garbage := n.bp.Stats().GarbageKeys
	if _, err := dir.Claim(t.Context(), hub.Record{SpokeID: "z", HubID: "near", IdentityID: "someone"}); err != nil || n.bp.Stats().GarbageKeys != garbage+1 {
		t.Errorf("over another kind of value: %v, %d keys with garbage", err, n.bp.Stats().GarbageKeys-garbage)
	}
	if f := fieldsOf(server, "alk:hubspoke:spoke:{z}"); f["hub"] != "near" {
		t.Errorf("record %v", f)
	}
	if n := len(lost); n != 0 {
		t.Errorf("%d spokes were lost: %+v", n, <-lost)
	}
}

// The generations that a hub receives for a spoke rise, also if Redis has forgotten the last one, or does not answer.
func TestGenerationsRise(t *testing.T) {
	const key = "alk:hubspoke:spoke:{x}"
	server := redistest.Start(t)
	bp, client := joinFailing(t, server.URL(), nil)
	dir, _, n := rawDirectoryOn(t, server, bp)
	last := time.Now().Add(time.Minute).UnixMilli()
	farRecord(server, key, strconv.FormatInt(last, 10))
	rises := func(when string, fails bool) {
		t.Helper()
		g, err := dir.Claim(t.Context(), hub.Record{SpokeID: "x", HubID: "near", IdentityID: "someone"})
		if g <= last || (err != nil) != fails {
			t.Errorf("%s: generation %d after %d, %v", when, g, last, err)
		}
		last = g
	}
	down := func(down bool) { client.when(func([]string) bool { return down }) }
	rises("after another hub's", false)
	server.Do("DEL", key)
	rises("after a forgotten one", false)
	server.Do("DEL", key)
	down(true)
	rises("while Redis does not answer", true)
	if n.bp.Health().Status == hub.StatusOK {
		t.Error("the hub is healthy")
	}
	rises("again", true)
	if err := dir.Release(t.Context(), "near", "x", last); err != nil {
		t.Error(err)
	}
	rises("after a release", true)
	down(false)
	redistest.Poll(t, "the claim to be written", func() bool { return healthy(n) && fieldsOf(server, key)["gen"] == strconv.FormatInt(last, 10) })
	rises("afterwards", false)
}

// A letter, in the inbox or in the list, takes a spoke from a hub, if it is a newer claim of another hub's.
func TestLetters(t *testing.T) {
	server := redistest.Start(t)
	for name, send := range map[string]func(text string){
		"inbox": func(text string) { server.Do("PUBLISH", "alk:hubspoke:inbox:{near}", `{"from":"far","mail":`+text+`}`) },
		"list":  func(text string) { server.Do("RPUSH", "alk:hubspoke:hub:{near}:mail", text) },
	} {
		t.Run(name, func(t *testing.T) {
			dir, lost, n := rawDirectory(t, server.URL(), server)
			var gen [2]int64
			for i, id := range []string{"x", "y"} {
				var err error
				if gen[i], err = dir.Claim(t.Context(), hub.Record{SpokeID: id, HubID: "near", IdentityID: "someone"}); err != nil {
					t.Fatal(err)
				}
			}
			letter := func(spoke, from string, g int64) string {
				text, _ := json.Marshal(map[string]any{"spoke": spoke, "hub": from, "generation": g, "identity": "someone", "instance": "process", "attempt": 12})
				return string(text)
			}
			for _, text := range []string{letter("x", "far", gen[0]), letter("x", "far", gen[0]-1), letter("x", "near", gen[0]+5), letter("unknown", "far", gen[0]+5),
				letter("", "far", gen[0]+5), letter("x", "", gen[0]+5), letter("x", "far", time.Now().Add(25*time.Hour).UnixMilli()), `"x"`} {
				send(text)
			}
			send(letter("y", "far", gen[1]+1)) // the last one: the others have been read before it
			select {
			case got := <-lost:
				want := hub.Record{SpokeID: "y", HubID: "far", Generation: gen[1] + 1, IdentityID: "someone", InstanceID: "process", Attempt: 12}
				if got != want {
					t.Errorf("lost %+v, want %+v", got, want)
				}
			case <-time.After(longest):
				t.Fatal("it is not lost")
			}
			if k := len(lost); k != 0 {
				t.Errorf("%d more are lost: %+v", k, <-lost)
			}
			if s := n.bp.Stats(); s.Lost != 1 || s.GarbageMessages != 4 {
				t.Errorf("%d lost, %d are garbage", s.Lost, s.GarbageMessages)
			}
		})
	}
}

// What Redis refuses is the error of the call, degrades the health, and is done later, when Redis takes it.
func TestRefusedIsDoneLater(t *testing.T) {
	const spokeKey, operationKey = "alk:hubspoke:spoke:{x}", "alk:hubspoke:op:{a.b}"
	server := redistest.Start(t)
	server.Do("ACL", "SETUSER", "limited", "on", ">pw", "+@all", "&*", "~*")
	dir, _, n := rawDirectoryOn(t, server, join(t, "redis://limited:pw@"+server.Addr(), nil)) // no machine is too busy for this lease
	exists := func(key string) string { return server.Do("EXISTS", key) }
	var generation int64
	for _, c := range []struct {
		name, key, after string
		do               func() error
	}{
		{"Claim", spokeKey, "1", func() (err error) {
			generation, err = dir.Claim(t.Context(), hub.Record{SpokeID: "x", HubID: "near", IdentityID: "someone"})
			return err
		}},
		{"Release", spokeKey, "0", func() error { return dir.Release(t.Context(), "near", "x", generation) }},
		{"Provide", operationKey, "1", func() error { return dir.Provide(t.Context(), "near", "a.b") }},
		{"Withdraw", operationKey, "0", func() error { return dir.Withdraw(t.Context(), "near", "a.b") }},
	} {
		server.Do("ACL", "SETUSER", "limited", "resetkeys", "~alk:hubspoke:hub*", "%R~*")
		if err := c.do(); err == nil || !strings.Contains(err.Error(), "NOPERM") || generation <= 0 {
			t.Errorf("%s: %v, generation %d", c.name, err, generation)
		}
		if exists(c.key) == c.after {
			t.Errorf("%s was not refused", c.name)
		}
		if h := n.bp.Health(); h.Status != hub.StatusDegraded || !strings.Contains(fmt.Sprint(h.Reasons), "near") {
			t.Errorf("%s: health %+v", c.name, h)
		}
		server.Do("ACL", "SETUSER", "limited", "resetkeys", "~*")
		redistest.Poll(t, c.name+" to be done", func() bool { return exists(c.key) == c.after && healthy(n) })
	}
}
