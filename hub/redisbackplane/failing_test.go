package redisbackplane_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/redisbackplane"
	"github.com/alkdev/hubspoke/internal/redistest"
	"github.com/alkdev/hubspoke/transport"
)

// These tests hold what the backplane does when a single command to Redis fails or waits.

// failing is a client that does not send the commands for which fail, which may block, returns true: they end with an
// error of the client, as if the connection had failed.
type failing struct {
	rueidis.Client
	fail   atomic.Pointer[func(words []string) bool]
	answer atomic.Pointer[func(words []string) string] // the error that Redis answers instead; "" for none
}

func (c *failing) when(fail func(words []string) bool) { c.fail.Store(&fail) }

// hold makes the next message between hubs that contains part wait until answered is closed, and fail then if fails
// is set. It closes waits when it waits.
func (c *failing) hold(part string, fails bool) (waits, answered chan struct{}) {
	waits, answered = make(chan struct{}), make(chan struct{})
	c.when(func(words []string) bool {
		if words[0] != "PUBLISH" || !strings.Contains(words[2], part) {
			return false
		}
		close(waits)
		<-answered
		return fails
	})
	return waits, answered
}

func (c *failing) fails(cmd rueidis.Completed) bool {
	fail := c.fail.Load()
	return fail != nil && (*fail)(slices.Clone(cmd.Commands()))
}

// answered returns the command, or one that Redis answers with an error.
func (c *failing) answered(cmd rueidis.Completed) rueidis.Completed {
	if answer := c.answer.Load(); answer != nil {
		if text := (*answer)(slices.Clone(cmd.Commands())); text != "" {
			return c.B().Eval().Script("return redis.error_reply(ARGV[1])").Numkeys(0).Arg(text).Build()
		}
	}
	return cmd
}

func (c *failing) Do(ctx context.Context, cmd rueidis.Completed) rueidis.RedisResult {
	cmd = c.answered(cmd)
	if c.fails(cmd) {
		canceled, cancel := context.WithCancel(ctx)
		cancel()
		ctx = canceled
	}
	return c.Client.Do(ctx, cmd)
}

func (c *failing) DoMulti(ctx context.Context, multi ...rueidis.Completed) []rueidis.RedisResult {
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	answers := make([]rueidis.RedisResult, len(multi))
	var sent []rueidis.Completed
	var at []int
	for i, cmd := range multi {
		if c.fails(cmd) {
			answers[i] = c.Client.Do(canceled, cmd)
			continue
		}
		sent, at = append(sent, c.answered(cmd)), append(at, i)
	}
	for i, answer := range c.Client.DoMulti(ctx, sent...) {
		answers[at[i]] = answer
	}
	return answers
}

// patient are the options of a backplane whose commands a test holds, on a machine that may be busy.
var patient = &redisOptions{Timeout: time.Hour}

// joinFailing makes a backplane on a client that can fail.
func joinFailing(t *testing.T, url string, o *redisOptions) (*redisbackplane.Backplane, *failing) {
	t.Helper()
	client, err := redisbackplane.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	c := &failing{Client: client}
	bp, err := redisbackplane.New(c, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(bp.Close)
	return bp, c
}

// A lookup that Redis refuses reports the refusal: a spoke that may be there is not "not found".
func TestLookupRefused(t *testing.T) {
	server := redistest.Start(t)
	server.Do("ACL", "SETUSER", "limited", "on", ">pw", "+@all", "&*", "~*")
	dir, _, _ := rawDirectory(t, "redis://limited:pw@"+server.Addr(), server)
	member := "life:far"
	server.Do("SADD", "alk:hubspoke:op:{a.b}", member)
	farRecord(server, "alk:hubspoke:spoke:{x}", "5")
	lookups := map[string]func() error{
		"Spoke": func() error {
			rec, ok, err := dir.Spoke(t.Context(), "x")
			if err != nil && (ok || rec != hub.Record{}) {
				t.Errorf("a record with an error: %+v", rec)
			}
			return err
		},
		"Providers": func() error { _, err := dir.Providers(t.Context(), "a.b"); return err },
	}
	for _, allowed := range []string{"~alk:hubspoke:hub:*", "~alk:hubspoke:[os]*"} { // the leases alone, all but the leases
		server.Do("ACL", "SETUSER", "limited", "resetkeys", allowed)
		for name, look := range lookups {
			if err := look(); err == nil || !strings.Contains(err.Error(), "NOPERM") {
				t.Errorf("%s with the keys %s: %v", name, allowed, err)
			}
		}
	}
	server.Do("ACL", "SETUSER", "limited", "resetkeys", "~*")
	if rec, ok, err := dir.Spoke(t.Context(), "x"); !ok || err != nil || rec.HubID != "far" {
		t.Errorf("%+v, %v, %v", rec, ok, err)
	}
	if hubs, err := dir.Providers(t.Context(), "a.b"); err != nil || !slices.Equal(hubs, []string{"far"}) {
		t.Errorf("%v, %v", hubs, err)
	}
}

// While Redis refuses one claim of a hub the hub is not settled: what it reports meanwhile is written later.
func TestReportedWhileUnsettled(t *testing.T) {
	server := redistest.Start(t)
	server.Do("ACL", "SETUSER", "limited", "on", ">pw", "+@all", "&*", "~*")
	dir, _, n := rawDirectoryOn(t, server, join(t, "redis://limited:pw@"+server.Addr(), nil)) // no machine is too busy for this lease
	ctx := t.Context()
	generation, err := dir.Claim(ctx, hub.Record{SpokeID: "x", HubID: "near", IdentityID: "someone"})
	if err = errors.Join(err, dir.Provide(ctx, "near", "a.old")); err != nil {
		t.Fatal(err)
	}
	exists := func(key string) bool { return server.Do("EXISTS", "alk:hubspoke:"+key) == "1" }
	server.Do("ACL", "SETUSER", "limited", "resetkeys", "~alk:hubspoke:hub*", "%R~*")
	if _, err := dir.Claim(ctx, hub.Record{SpokeID: "y", HubID: "near", IdentityID: "someone"}); err == nil {
		t.Error("the claim was not refused")
	}
	if err := errors.Join(dir.Release(ctx, "near", "x", generation), dir.Withdraw(ctx, "near", "a.old"), dir.Provide(ctx, "near", "a.new")); err != nil {
		t.Errorf("an unsettled hub: %v", err)
	}
	if !exists("spoke:{x}") || !exists("op:{a.old}") || exists("op:{a.new}") {
		t.Error("it was not refused")
	}
	server.Do("ACL", "SETUSER", "limited", "resetkeys", "~*")
	redistest.Poll(t, "all to be written", func() bool {
		return healthy(n) && !exists("spoke:{x}") && exists("spoke:{y}") && !exists("op:{a.old}") && exists("op:{a.new}")
	})
}

// A dead hub that a lookup meets is removed from the set, a live one is not; then there is nothing more to do.
func TestDeadHubsAreRemoved(t *testing.T) {
	const key = "alk:hubspoke:op:{a.b}"
	server := redistest.Start(t)
	for dead := range 4 {
		bp, client := joinFailing(t, server.URL(), nil)
		dir, _, _ := rawDirectoryOn(t, server, bp)
		var asked atomic.Int64
		client.when(func(words []string) bool {
			if words[0] == "GET" || words[0] == "SREM" {
				asked.Add(1)
			}
			return false
		})
		server.Do("SADD", key, "life:far")
		for i := range dead {
			server.Do("SADD", key, fmt.Sprint("life:dead-", i))
		}
		if hubs, err := dir.Providers(t.Context(), "a.b"); err != nil || !slices.Equal(hubs, []string{"far"}) {
			t.Errorf("%v, %v", hubs, err)
		}
		redistest.Poll(t, "dead hubs to be removed", func() bool { return server.Do("SMEMBERS", key) == "life:far" })
		bp.Close() // it waits for the clean-up
		if n := asked.Load(); n != int64(2*dead) {
			t.Errorf("%d commands to remove %d hubs", n, dead)
		}
	}
}

// Once a command fails for lack of a connection the hub does not try the others that wait: each could take a timeout.
func TestUnsettledStopsAtFirstFailure(t *testing.T) {
	server := redistest.Start(t)
	bp, client := joinFailing(t, server.URL(), nil)
	dir, _, n := rawDirectoryOn(t, server, bp)
	const operations, rounds = 10, 5
	var leases, sets atomic.Int64
	client.when(func(words []string) bool {
		if words[0] != "EVALSHA" && words[0] != "EVAL" {
			return false
		}
		switch key := words[3]; {
		case strings.HasSuffix(key, ":lease"):
			leases.Add(1)
		case strings.HasPrefix(key, "alk:hubspoke:op:"):
			sets.Add(1)
			return true
		}
		return false
	})
	var failed error
	for i := range operations {
		failed = errors.Join(failed, dir.Provide(t.Context(), "near", fmt.Sprint("a.op", i)))
	}
	if failed == nil || healthy(n) {
		t.Errorf("%v, health %+v", failed, bp.Health())
	}
	redistest.Poll(t, "some attempts", func() bool { return leases.Load() > rounds })
	if asked, attempts := sets.Load(), leases.Load(); asked > attempts+2 {
		t.Errorf("%d commands in %d attempts", asked, attempts)
	}
	client.when(func([]string) bool { return false })
	redistest.Poll(t, "all to be written", func() bool {
		return healthy(n) && len(strings.Fields(server.Do("KEYS", "alk:hubspoke:op:*"))) == operations
	})
}

// A lookup that finds many dead hubs leaves a bounded number to the clean-up; later lookups find the rest.
func TestDeadHubsAreBounded(t *testing.T) {
	const key, dead, most = "alk:hubspoke:op:{a.b}", 600, 256
	server := redistest.Start(t)
	bp, client := joinFailing(t, server.URL(), patient)
	dir, _, _ := rawDirectoryOn(t, server, bp)
	add := []string{"SADD", key, "life:far"}
	for i := range dead {
		add = append(add, fmt.Sprint("life:dead-", i))
	}
	server.Do(add...)
	held := make(chan struct{})
	client.when(func(words []string) bool {
		if words[0] == "GET" {
			<-held
		}
		return false
	})
	look := func() {
		t.Helper()
		if hubs, err := dir.Providers(t.Context(), "a.b"); err != nil || !slices.Equal(hubs, []string{"far"}) {
			t.Errorf("%v, %v", hubs, err)
		}
	}
	left := func() int { return len(strings.Fields(server.Do("SMEMBERS", key))) - 1 }
	look()
	close(held)
	redistest.Poll(t, "the first to be removed", func() bool { return left() <= dead-most })
	if n := left(); n < dead-most-1 { // one more may be removed already when the last is found
		t.Errorf("%d are left", n)
	}
	redistest.Poll(t, "all to be removed", func() bool { look(); return left() == 0 })
}

// No hub sends Redis a command while it is known to be down, except to renew its lease. What the hub has to write
// is written later.
func TestDownIsNotAsked(t *testing.T) {
	server := redistest.Start(t)
	bp, client := joinFailing(t, server.URL(), nil)
	dir, _, n := rawDirectoryOn(t, server, bp)
	links := bp.Backplane().Links
	leave, err := links.Join("near", func(string, transport.Conn) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(leave)
	held := claimed(t, dir, "held")
	if err := dir.Provide(t.Context(), "near", "a.old"); err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int64
	client.when(func(words []string) bool {
		if words[0] != "EVALSHA" && words[0] != "EVAL" || !strings.HasSuffix(words[3], ":lease") {
			asked.Add(1)
		}
		return true
	})
	if _, err := dir.Claim(t.Context(), hub.Record{SpokeID: "x", HubID: "near", IdentityID: "someone"}); err == nil || asked.Load() == 0 {
		t.Fatalf("the first claim: %v", err)
	}
	asked.Store(0)
	ctx := t.Context()
	var given int64
	for name, do := range map[string]func() error{
		"Claim": func() error {
			var err error
			given, err = dir.Claim(ctx, hub.Record{SpokeID: "y", HubID: "near", IdentityID: "someone"})
			return err
		},
		"Spoke":     func() error { _, _, err := dir.Spoke(ctx, "z"); return err },
		"Providers": func() error { _, err := dir.Providers(ctx, "a.b"); return err },
		"Hubs":      func() error { _, err := dir.Hubs(ctx); return err },
		"Dial":      func() error { _, err := links.Dial(ctx, "near", "far"); return err },
	} {
		if err := do(); err == nil || !strings.Contains(err.Error(), "Redis cannot be reached") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := errors.Join(dir.Release(ctx, "near", "held", held), dir.Withdraw(ctx, "near", "a.old"), dir.Provide(ctx, "near", "a.new")); err != nil {
		t.Error(err)
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("%d commands were sent", n)
	}
	client.when(func([]string) bool { return false })
	exists := func(key string) bool { return server.Do("EXISTS", "alk:hubspoke:"+key) == "1" }
	redistest.Poll(t, "all to be written", func() bool {
		return healthy(n) && exists("spoke:{x}") && exists("spoke:{y}") && !exists("spoke:{held}") && !exists("op:{a.old}") && exists("op:{a.new}")
	})
	if got := fieldsOf(server, "alk:hubspoke:spoke:{y}")["gen"]; got != strconv.FormatInt(given, 10) {
		t.Errorf("generation %s was written, %d was reported to the hub", got, given)
	}
}

// What Redis answers decides what the hub writes again: after an error that concerns one call only this call, after one
// with which no call would succeed everything.
func TestErrorsOfRedis(t *testing.T) {
	server := redistest.Start(t)
	for text, down := range map[string]bool{
		"LOADING Redis is loading the dataset in memory":                        true,
		"CLUSTERDOWN The cluster is down":                                       true,
		"TRYAGAIN Multiple keys request during rehashing of slot":               true,
		"READONLY You can't write against a read only replica.":                 true,
		"OOM command not allowed when used memory > 'maxmemory'.":               false,
		"NOPERM User limited has no permissions to access one of the keys used": false,
		"WRONGTYPE Operation against a key holding the wrong kind of value":     false,
		"ERR unknown command": false,
	} {
		t.Run(strings.Fields(text)[0], func(t *testing.T) {
			bp, client := joinFailing(t, server.URL(), nil)
			dir, _, n := rawDirectoryOn(t, server, bp)
			claimed(t, dir, "x")
			var answered atomic.Bool
			answer := func(words []string) string {
				if len(words) < 4 || words[3] != "alk:hubspoke:spoke:{y}" || answered.Swap(true) {
					return ""
				}
				return text
			}
			client.answer.Store(&answer)
			_, err := dir.Claim(t.Context(), hub.Record{SpokeID: "y", HubID: "near", IdentityID: "someone"})
			if err == nil || strings.Contains(err.Error(), "Redis cannot be reached") != down {
				t.Errorf("the error is %v", err)
			}
			redistest.Poll(t, "the claim to be written", func() bool { return healthy(n) && server.Do("EXISTS", "alk:hubspoke:spoke:{y}") == "1" })
			if s := n.bp.Stats(); (s.Settled > 1) != down || s.Settled == 0 {
				t.Errorf("%d claims were written again", s.Settled)
			}
		})
	}
}

// While Redis does not answer, the resets and ticks that wait or are being sent are bounded and the rest is counted; the
// reset of a link of this hub's own always waits.
func TestSmallMessagesAreBounded(t *testing.T) {
	const most, over = 1024, 5
	server := redistest.Start(t)
	bp, client := joinFailing(t, server.URL(), patient)
	r := newRawHubOf(t, server, func(*testing.T) *redisbackplane.Backplane { return bp })
	l := r.open("life.1")
	waits, answered := client.hold(`"reset"`, false)
	stray := wire{From: "far", Incarnation: "stray.x", To: "unknown", Seq: 1, Frames: framesOf("1")}
	r.send(stray)
	<-waits
	for range most - 1 + over {
		r.send(stray)
	}
	redistest.Poll(t, "the messages to be counted", func() bool { return bp.Stats().Strays == most+over })
	l.conn.Abort()
	client.when(func([]string) bool { return false })
	close(answered)
	for range most {
		r.want(wire{From: "near", To: "stray.x", Reset: true})
	}
	l.isReset()
	r.nothing()
	if s := bp.Stats(); s.Dropped != over {
		t.Errorf("%d were dropped, want %d", s.Dropped, over)
	}
}

// A hub renews its lease after a third of it.
func TestRenewsAfterAThird(t *testing.T) {
	t.Parallel()
	const lease, most = 3000, 2000 + 50 // milliseconds; the clocks of the two may differ by less than a tick
	server := redistest.Start(t)
	bp, client := joinFailing(t, server.URL(), &redisOptions{Lease: lease * time.Millisecond})
	left := make(chan int, 100)
	client.when(func(words []string) bool {
		if (words[0] == "EVALSHA" || words[0] == "EVAL") && words[2] == "2" && strings.HasSuffix(words[3], ":lease") {
			ms, _ := strconv.Atoi(server.Do("PTTL", words[3]))
			left <- ms
		}
		return false
	})
	leave, err := bp.Backplane().Directory.Join(t.Context(), "near", func(hub.Record) {})
	if err != nil {
		t.Fatal(err)
	}
	defer leave(t.Context())
	for tries := 0; ; tries++ {
		ms := <-left
		if ms > most {
			t.Errorf("renewed with %d ms of %d left", ms, lease)
		}
		if ms > lease*6/10 {
			return
		}
		if tries == 10 { // a busy machine is late, but not each time
			t.Fatalf("renewed only with %d ms of %d left", ms, lease)
		}
	}
}

// What Redis refuses is tried less and less often.
func TestRefusedIsTriedLessOften(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	server.Do("ACL", "SETUSER", "limited", "on", ">pw", "+@all", "&*", "~*")
	bp, client := joinFailing(t, "redis://limited:pw@"+server.Addr(), nil)
	dir, _, n := rawDirectoryOn(t, server, bp)
	tried := make(chan time.Time, 100)
	client.when(func(words []string) bool {
		if (words[0] == "EVALSHA" || words[0] == "EVAL") && words[3] == "alk:hubspoke:spoke:{x}" {
			tried <- time.Now()
		}
		return false
	})
	server.Do("ACL", "SETUSER", "limited", "resetkeys", "~alk:hubspoke:hub*", "%R~*")
	if _, err := dir.Claim(t.Context(), hub.Record{SpokeID: "x", HubID: "near", IdentityID: "someone"}); err == nil {
		t.Error("the claim was not refused")
	}
	<-tried           // the claim itself
	before := <-tried // immediately after it
	for _, least := range []time.Duration{200, 400, 800} {
		next := <-tried
		if waited := next.Sub(before); waited < least*time.Millisecond*9/10 {
			t.Errorf("tried after %v, want at least %d ms", waited, least)
		}
		before = next
	}
	server.Do("ACL", "SETUSER", "limited", "resetkeys", "~*")
	redistest.Poll(t, "the claim to be written", func() bool { return healthy(n) && server.Do("EXISTS", "alk:hubspoke:spoke:{x}") == "1" })
}

// Of several commands in one pipeline Redis refuses many and the connection fails for one. Then the hub writes everything
// again, as after any failed connection: it is unknown what Redis still has.
func TestFailureAmongRefusals(t *testing.T) {
	const refusals, attempts = 20, 5
	server := redistest.Start(t)
	for name, prepare := range map[string]func(t *testing.T, dir hub.Directory, refuse func(), ids []string){
		"claims": func(t *testing.T, dir hub.Directory, refuse func(), ids []string) {
			refuse()
			for _, id := range ids {
				_, _ = dir.Claim(t.Context(), hub.Record{SpokeID: id, HubID: "near", IdentityID: "someone"})
			}
		},
		"releases": func(t *testing.T, dir hub.Directory, refuse func(), ids []string) {
			var given []int64
			for _, id := range ids {
				given = append(given, claimed(t, dir, id))
			}
			refuse()
			for i, id := range ids {
				_ = dir.Release(t.Context(), "near", id, given[i])
			}
		},
		"checks": func(t *testing.T, dir hub.Directory, refuse func(), ids []string) {
			for _, id := range ids {
				claimed(t, dir, id)
			}
			refuse()
		},
	} {
		t.Run(name, func(t *testing.T) {
			bp, client := joinFailing(t, server.URL(), &redisOptions{Lease: rawLease})
			dir, _, n := rawDirectoryOn(t, server, bp)
			claimed(t, dir, "well")
			ids := []string{"lost"}
			for i := range refusals {
				ids = append(ids, fmt.Sprint("refused", i))
			}
			key := func(words []string) string { // of the record that a command concerns
				if words[0] == "HGETALL" {
					return words[1]
				}
				return words[min(3, len(words)-1)]
			}
			var fails atomic.Bool
			answer := func(words []string) string {
				k := key(words)
				if strings.HasPrefix(k, "alk:hubspoke:spoke:{refused") || k == "alk:hubspoke:spoke:{lost}" && !fails.Load() {
					return "NOPERM no permissions"
				}
				return ""
			}
			prepare(t, dir, func() { client.answer.Store(&answer) }, ids)
			var lost, well atomic.Int64
			fails.Store(true)
			client.when(func(words []string) bool {
				switch key(words) {
				case "alk:hubspoke:spoke:{well}":
					if words[0] != "HGETALL" {
						well.Add(1)
					}
				case "alk:hubspoke:spoke:{lost}":
					lost.Add(1)
					return fails.Load()
				}
				return false
			})
			redistest.Poll(t, "some attempts", func() bool { return lost.Load() >= attempts })
			client.answer.Store(nil)
			fails.Store(false)
			well.Store(0)
			redistest.Poll(t, "all to be written", func() bool { return healthy(n) })
			if well.Load() == 0 {
				t.Error("what was written before was not written again")
			}
		})
	}
}

// A letter that comes before the answer to the claim which it overtakes counts when that has come.
func TestLetterBeforeTheAnswer(t *testing.T) {
	server := redistest.Start(t)
	bp, client := joinFailing(t, server.URL(), patient)
	dir, lost, n := rawDirectoryOn(t, server, bp)
	newest := time.Now().Add(time.Minute).UnixMilli()
	waits, held := make(chan struct{}), make(chan struct{})
	client.when(func(words []string) bool {
		if len(words) > 3 && words[3] == "alk:hubspoke:spoke:{x}" {
			close(waits)
			<-held
		}
		return false
	})
	claim := make(chan error, 1)
	go func() {
		_, err := dir.Claim(t.Context(), hub.Record{SpokeID: "x", HubID: "near", IdentityID: "someone"})
		claim <- err
	}()
	<-waits
	for _, g := range []int64{newest - 10_000, newest, newest - 20_000} {
		server.Do("PUBLISH", "alk:hubspoke:inbox:{near}", fmt.Sprintf(
			`{"from":"far","mail":{"spoke":"x","hub":"far","generation":%d,"identity":"someone","instance":"process","attempt":1}}`, g))
	}
	server.Do("PUBLISH", "alk:hubspoke:inbox:{near}", "garbage")
	redistest.Poll(t, "the letters to be heard", func() bool { return n.bp.Stats().GarbageMessages == 1 })
	client.when(func([]string) bool { return false })
	close(held)
	if err := <-claim; err != nil {
		t.Error(err)
	}
	select {
	case got := <-lost:
		if want := (hub.Record{SpokeID: "x", HubID: "far", Generation: newest, IdentityID: "someone", InstanceID: "process", Attempt: 1}); got != want {
			t.Errorf("lost %+v, want %+v", got, want)
		}
	case <-time.After(longest):
		t.Fatal("it is not lost")
	}
	if k := len(lost); k != 0 {
		t.Errorf("%d more are lost: %+v", k, <-lost)
	}
}

// New fails if Redis does not answer one of its questions.
func TestNewAsksInVain(t *testing.T) {
	client, err := redisbackplane.Connect(redistest.Start(t).URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	for _, question := range []string{"INFO", "CLIENT", "EVAL"} {
		c := &failing{Client: client}
		c.when(func(words []string) bool { return words[0] == question })
		if _, err := redisbackplane.New(c, nil); !errors.Is(err, redisbackplane.ErrOptions) || !strings.Contains(err.Error(), "cannot be reached") {
			t.Errorf("%s: %v", question, err)
		}
	}
}

// A hub that leaves waits until lost, which may block, has returned, and is not called any more.
func TestLeaveWaitsForLost(t *testing.T) {
	server := redistest.Start(t)
	dir := join(t, server.URL(), nil).Backplane().Directory
	called, release := make(chan hub.Record, 10), make(chan struct{})
	leave, err := dir.Join(t.Context(), "near", func(r hub.Record) {
		called <- r
		<-release
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"x", "y"} {
		server.Do("PUBLISH", "alk:hubspoke:inbox:{near}", fmt.Sprintf(`{"from":"far","mail":{"spoke":%q,"hub":"far","generation":%d}}`, id, claimed(t, dir, id)+1))
	}
	<-called
	left := make(chan struct{})
	go func() { defer close(left); leave(context.Background()) }()
	redistest.Poll(t, "the lease to be released", func() bool { return server.Do("EXISTS", "alk:hubspoke:hub:{near}:lease") == "0" })
	redistest.Poll(t, "the subscription to end", func() bool { return server.Do("PUBSUB", "CHANNELS", "alk:hubspoke:inbox:*") == "" })
	select {
	case <-left:
		t.Error("it did not wait")
	default:
	}
	close(release)
	<-left
	if n := len(called); n != 0 {
		t.Errorf("lost is called %d times more", n)
	}
}

// A hub that cannot write to the directory does not join, and the error names Redis as the cause.
func TestJoinFails(t *testing.T) {
	server := redistest.Start(t)
	bp, client := joinFailing(t, server.URL(), nil)
	dir := bp.Backplane().Directory
	client.when(func(words []string) bool { return len(words) > 3 && words[3] == "alk:hubspoke:hubs" })
	if _, err := dir.Join(t.Context(), "near", func(hub.Record) {}); err == nil || !strings.Contains(err.Error(), "Redis cannot be reached") {
		t.Errorf("got %v", err)
	}
	if keys := server.Do("KEYS", "*"); keys != "" {
		t.Errorf("it has left %s", keys)
	}
	client.when(func([]string) bool { return false })
	leave, err := dir.Join(t.Context(), "near", func(hub.Record) {})
	if err != nil {
		t.Fatal(err)
	}
	leave(t.Context())
	// It waits for the lease of a predecessor, until its context ends.
	server.Do("SET", "alk:hubspoke:hub:{near}:lease", "other", "PX", "100000")
	gone := errors.New("the program ends")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(gone) })
	if _, err := dir.Join(ctx, "near", func(hub.Record) {}); !errors.Is(err, gone) {
		t.Errorf("a Join whose context ends: %v", err)
	}
	if got := server.Do("GET", "alk:hubspoke:hub:{near}:lease"); got != "other" {
		t.Errorf("the lease is %s", got)
	}
}

// A hub that is cut off remembers a bounded number of spokes that have left. With more of them it begins a new life when
// Redis is back, under which all older records are void.
func TestTooManyReleases(t *testing.T) {
	const lease, most = "alk:hubspoke:hub:{near}:lease", 100_000
	server := redistest.Start(t)
	for over := range 2 {
		bp, client := joinFailing(t, server.URL(), nil)
		dir, _, n := rawDirectoryOn(t, server, bp)
		claimed(t, dir, "stays")
		gone := claimed(t, dir, "gone")
		before := server.Do("GET", lease)
		client.when(func([]string) bool { return true })
		if _, err := dir.Claim(t.Context(), hub.Record{SpokeID: "late", HubID: "near", IdentityID: "someone"}); err == nil {
			t.Error("the claim did not fail")
		}
		if err := dir.Release(t.Context(), "near", "gone", gone); err != nil {
			t.Fatal(err)
		}
		for i := range most - 1 + over {
			if err := dir.Release(t.Context(), "near", strconv.Itoa(i), 1); err != nil {
				t.Fatal(err)
			}
		}
		var records atomic.Int64
		client.when(func(words []string) bool {
			if len(words) > 3 && strings.HasPrefix(words[3], "alk:hubspoke:spoke:") {
				records.Add(1)
			}
			return false
		})
		redistest.Poll(t, "the hub to have written all", func() bool { return healthy(n) })
		if n := records.Load(); over == 0 && n < most || over > 0 && n > 100 {
			t.Errorf("%d over: %d records were written or removed", over, n)
		}
		for id, want := range map[string]bool{"stays": true, "late": true, "gone": false} {
			if _, found, err := dir.Spoke(t.Context(), id); found != want || err != nil {
				t.Errorf("%d over: spoke %s is found: %v, %v", over, id, found, err)
			}
		}
		if after := server.Do("GET", lease); (after != before) != (over > 0) {
			t.Errorf("%d over: the life was %s and is %s", over, before, after)
		}
		bp.Close()
	}
}

// A hub that leaves removes all that it has written, however much it is.
func TestLeaveRemovesAll(t *testing.T) {
	const spokes = 600
	server := redistest.Start(t)
	dir := join(t, server.URL(), nil).Backplane().Directory
	leave, err := dir.Join(t.Context(), "near", func(hub.Record) {})
	if err != nil {
		t.Fatal(err)
	}
	for i := range spokes {
		if _, err := dir.Claim(t.Context(), hub.Record{SpokeID: "x" + strconv.Itoa(i), HubID: "near", IdentityID: "someone"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := dir.Provide(t.Context(), "near", "a.b"); err != nil {
		t.Fatal(err)
	}
	leave(t.Context())
	for _, key := range strings.Fields(server.Do("KEYS", "*")) {
		if server.Do("HGET", key, "gone") == "" { // a record may keep its generation for a second
			t.Errorf("%s is left", key)
		}
	}
}

// A hub that leaves while a Write waits for Redis, and the answer to a close waits for the Write, ends both.
func TestLeaveWhileCloseIsAnswered(t *testing.T) {
	server := redistest.Start(t)
	bp, client := joinFailing(t, server.URL(), nil)
	r := newRawHubOf(t, server, func(*testing.T) *redisbackplane.Backplane { return bp })
	l := r.open("life.1")
	waits, answered := client.hold(`"frames"`, true)
	written := make(chan error, 1)
	go func() { written <- l.conn.Write([][]byte{[]byte("1")}) }()
	<-waits
	l.send(wire{From: "far", Incarnation: l.far, To: l.near, Seq: 1, Close: &wireClose{1000, ""}})
	r.nothing() // so the close has arrived
	r.leave()
	r.leave = func() {}
	close(answered)
	select {
	case err := <-written:
		if err == nil {
			t.Error("Write succeeded")
		}
	case <-time.After(longest):
		t.Fatal("Write does not return")
	}
	wantClose(t, readEnd(l.conn), transport.CloseNormal, true)
}

// While a hub leaves its id is in use; then it can join again, and hears.
func TestJoinWhileLeaving(t *testing.T) {
	server := redistest.Start(t)
	bp, client := joinFailing(t, server.URL(), nil)
	r := newRawHubOf(t, server, func(*testing.T) *redisbackplane.Backplane { return bp })
	l := r.open("life.1")
	waits, answered := client.hold(`"close"`, false)
	l.conn.Close(transport.CloseNormal, "")
	<-waits
	left := make(chan struct{})
	go func() { defer close(left); r.leave() }()
	redistest.Poll(t, "the hub to leave", func() bool {
		_, err := r.links.Dial(t.Context(), "near", "nobody")
		return err != nil && strings.Contains(err.Error(), "left")
	})
	if _, err := r.links.Join("near", func(string, transport.Conn) {}); !errors.Is(err, hub.ErrHubIDInUse) {
		t.Errorf("a Join while the hub leaves: %v", err)
	}
	close(answered)
	<-left
	leave, err := r.links.Join("near", func(from string, c transport.Conn) { r.accepted <- accepted{from, c} })
	if err != nil {
		t.Fatal(err)
	}
	r.leave = leave
	r.send(wire{From: "far", Incarnation: "life.2", Open: true})
	<-r.accepted
	for w := r.next(); w.To != "life.2" || !w.Tick; w = r.next() { // the end of the first link comes before
	}
}
