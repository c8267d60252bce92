package redisbackplane_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/redisbackplane"
	"github.com/alkdev/hubspoke/internal/redistest"
)

// These tests hold what a hub writes to the directory when its connection to Redis, or its place in it, was lost.

func claimed(t *testing.T, dir hub.Directory, id string) int64 {
	t.Helper()
	g, err := dir.Claim(t.Context(), hub.Record{SpokeID: id, HubID: "near", IdentityID: "someone", InstanceID: "process", Attempt: 1})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// A hub whose connection was lost writes everything again, also what it had written long before and within the same
// lease: Redis may have lost it. After a refusal it writes again only what was refused.
func TestWhatIsWrittenAgain(t *testing.T) {
	const operation, spokes = "alk:hubspoke:op:{a.b}", 50
	server := redistest.Start(t)
	proxy := redistest.NewProxy(t, server.Addr())
	server.Do("ACL", "SETUSER", "limited", "on", ">pw", "+@all", "&*", "~*")
	dir, _, n := rawDirectoryOn(t, server, join(t, "redis://limited:pw@"+proxy.Addr(), nil))
	for i := range spokes {
		claimed(t, dir, fmt.Sprint("s", i))
	}
	if err := dir.Provide(t.Context(), "near", "a.b"); err != nil {
		t.Fatal(err)
	}
	lease := server.Do("GET", "alk:hubspoke:hub:{near}:lease")

	server.Do("ACL", "SETUSER", "limited", "resetkeys", "~alk:hubspoke:hub*", "%R~*")
	if _, err := dir.Claim(t.Context(), hub.Record{SpokeID: "refused", HubID: "near", IdentityID: "someone"}); err == nil {
		t.Error("the claim was not refused")
	}
	server.Do("DEL", operation)
	server.Do("ACL", "SETUSER", "limited", "resetkeys", "~*")
	redistest.Poll(t, "the claim", func() bool { return server.Do("EXISTS", "alk:hubspoke:spoke:{refused}") == "1" && healthy(n) })
	if s := n.bp.Stats(); s.Settled != 1 {
		t.Errorf("%d claims were written again after one was refused", s.Settled)
	}

	proxy.Refuse()
	redistest.Poll(t, "the hub to notice that it is cut off", func() bool { return !healthy(n) })
	server.Do("DEL", operation, "alk:hubspoke:spoke:{s7}", "alk:hubspoke:hubs")
	proxy.Heal()
	redistest.Poll(t, "everything to be written", func() bool {
		return server.Do("EXISTS", operation, "alk:hubspoke:spoke:{s7}", "alk:hubspoke:hubs") == "3" && healthy(n)
	})
	if s := n.bp.Stats(); s.Settled < 1+spokes {
		t.Errorf("%d claims were written again after the connection was lost", s.Settled)
	}
	if got := server.Do("GET", "alk:hubspoke:hub:{near}:lease"); got != lease {
		t.Error("the lease was lost")
	}
}

// A hub whose lease is gone, and whose spoke has registered at another hub meanwhile, learns of the whole record.
func TestLostSpokeIsKnownInFull(t *testing.T) {
	server := redistest.Start(t)
	dir, lost, _ := rawDirectory(t, server.URL(), server)
	newer := claimed(t, dir, "x") + 1
	server.Do("EVAL", `redis.call('HSET', KEYS[1], 'hub', 'far', 'inc', 'life', 'gen', ARGV[1], 'id', 'someone', 'inst', 'process', 'att', '12', 'tok', 't')
		return redis.call('DEL', KEYS[2])`, "2", "alk:hubspoke:spoke:{x}", "alk:hubspoke:hub:{near}:lease", strconv.FormatInt(newer, 10))
	select {
	case got := <-lost:
		if want := (hub.Record{SpokeID: "x", HubID: "far", Generation: newer, IdentityID: "someone", InstanceID: "process", Attempt: 12}); got != want {
			t.Errorf("lost %+v, want %+v", got, want)
		}
	case <-time.After(longest):
		t.Fatal("the spoke is not lost")
	}
}

// A spoke registers twice at one hub while Redis does not answer, and another hub's registration lies between the two. The
// answer to the first changes nothing: the second is the newest.
func TestAnswerToAnOlderClaim(t *testing.T) {
	server := redistest.Start(t)
	proxy := redistest.NewProxy(t, server.Addr())
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{proxy.Addr()}, AlwaysPipelining: true, PipelineMultiplex: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	bp, err := redisbackplane.New(client, &redisOptions{Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(bp.Close)
	dir, lost, n := rawDirectoryOn(t, server, bp)
	claimed(t, dir, "y")
	claimed(t, dir, "x")
	field := func() string { return server.Do("HGET", "alk:hubspoke:spoke:{x}", "tok") }
	claim := func(attempt int64) chan error {
		done, before := make(chan error, 1), field()
		go func() {
			_, err := dir.Claim(t.Context(), hub.Record{SpokeID: "x", HubID: "near", IdentityID: "someone", InstanceID: "process", Attempt: attempt})
			done <- err
		}()
		redistest.Poll(t, "the claim to be in Redis", func() bool { return field() != before })
		return done
	}
	if proxy.Stall(redistest.ToClient, "HMGET") == 0 {
		t.Fatal("no connection claims")
	}
	first := claim(2)
	letter := func(id string, generation int64) {
		server.Do("PUBLISH", "alk:hubspoke:inbox:{near}", fmt.Sprintf(
			`{"from":"far","mail":{"spoke":%q,"hub":"far","generation":%d,"identity":"someone","instance":"process","attempt":1}}`, id, generation))
	}
	heard := n.bp.Stats().GarbageMessages
	letter("x", time.Now().Add(time.Minute).UnixMilli())
	server.Do("PUBLISH", "alk:hubspoke:inbox:{near}", "garbage") // heard after the letter
	redistest.Poll(t, "the letter", func() bool { return n.bp.Stats().GarbageMessages > heard })
	second := claim(3)
	proxy.Heal()
	if err := errors.Join(<-first, <-second); err != nil {
		t.Error(err)
	}
	letter("y", time.Now().Add(time.Minute).UnixMilli())
	if got := <-lost; got.SpokeID != "y" {
		t.Errorf("%s is lost", got.SpokeID)
	}
}

// A record that another life of the hub has left, with a higher generation, yields to the claim of the hub that lives.
func TestRecordOfAnotherLife(t *testing.T) {
	const key = "alk:hubspoke:spoke:{x}"
	server := redistest.Start(t)
	dir, lost, n := rawDirectory(t, server.URL(), server)
	for _, ahead := range []int64{1, 60_000} {
		left := claimed(t, dir, "x") + ahead
		server.Do("EVAL", `redis.call('HSET', KEYS[1], 'gen', ARGV[1], 'tok', 'other', 'inc', 'old')
			return redis.call('DEL', KEYS[2])`, "2", key, "alk:hubspoke:hub:{near}:lease", strconv.FormatInt(left, 10))
		redistest.Poll(t, "the record to be the hub's own", func() bool {
			f := fieldsOf(server, key)
			g, _ := strconv.ParseInt(f["gen"], 10, 64)
			return f["tok"] != "other" && f["inc"] == server.Do("GET", "alk:hubspoke:hub:{near}:lease") && g == left+1 && healthy(n)
		})
		if rec, found, err := dir.Spoke(t.Context(), "x"); !found || err != nil || rec.Generation != left+1 {
			t.Errorf("%+v, %v, %v", rec, found, err)
		}
	}
	if k := len(lost); k != 0 {
		t.Errorf("%d are lost: %+v", k, <-lost)
	}
}

// A lookup that Redis does not answer ends with the caller's context, and otherwise after Timeout.
func TestLookupEnds(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	for name, c := range map[string]struct {
		timeout time.Duration
		ends    error
	}{"canceled": {time.Hour, context.Canceled}, "Timeout": {200 * time.Millisecond, context.DeadlineExceeded}} {
		t.Run(name, func(t *testing.T) {
			proxy := redistest.NewProxy(t, server.Addr())
			dir := join(t, "redis://"+proxy.Addr(), &redisOptions{Timeout: c.timeout}).Backplane().Directory
			if _, _, err := dir.Spoke(t.Context(), "x"); err != nil {
				t.Fatal(err)
			}
			proxy.StallAll(redistest.ToClient)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if errors.Is(c.ends, context.Canceled) {
				time.AfterFunc(50*time.Millisecond, cancel)
			}
			begin := time.Now()
			_, _, err := dir.Spoke(ctx, "y")
			if took := time.Since(begin); !errors.Is(err, c.ends) || took > 5*time.Second {
				t.Errorf("%v after %v", err, took)
			}
		})
	}
}
