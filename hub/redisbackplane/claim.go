package redisbackplane

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/alkdev/hubspoke/hub"
)

// claim is what a hub said of one spoke.
type claim struct {
	rec   hub.Record // Generation is that in Redis, or the one given while it is not said
	given int64      // the generation that the hub goes by
	token string     // tells this claim from other ones of the hub's for the spoke
	said  bool       // it is in Redis
	// asking is set while Claim waits for Redis: until it has the answer no other goroutine writes the claim.
	asking bool
	// overtaken is the newest record of another hub that came while this claim
	// was not said: which is the higher one shows when it is.
	overtaken hub.Record
}

// Claim implements [hub.Directory]. With an error of the directory's own it gives
// a provisional generation, by the clock of this machine, under which the claim is settled later.
func (d *directory) Claim(ctx context.Context, rec hub.Record) (int64, error) {
	m, err := d.membership(rec.HubID)
	if err != nil {
		return 0, err
	}
	c, given, floor, life, down := m.remember(rec)
	if down != nil {
		return given, down
	}
	bounded, cancel := d.b.reach.bound(ctx)
	defer cancel()
	o, err := m.claim(bounded, c, floor, life)
	m.answered(c)
	if err != nil {
		err = d.b.reach.judge(ctx, err)
		m.cutOff(err)
		return given, err
	}
	switch o.status {
	case claimHeld:
		m.forget(c)
		return 0, hub.ErrHeld
	case claimSuperseded:
		m.forget(c)
		return 0, hub.ErrSuperseded
	}
	m.granted(c, o.generation, life)
	m.tellLosers(bounded, []loser{{o.other, m.recordOf(c)}})
	return o.generation, nil
}

// remember records the claim before Redis is asked, and reports whether Redis is known to be down. A hub
// that has more to write asks all the same: only Redis knows whether another identity holds the id.
func (m *membership) remember(rec hub.Record) (c *claim, given, floor int64, life string, down error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.left {
		return nil, 0, 0, "", errNotJoined
	}
	old := m.claims[rec.SpokeID]
	if old == nil {
		old = m.released[rec.SpokeID]
	}
	if old != nil {
		floor = max(old.rec.Generation, old.given) + 1
	}
	given = max(floor, m.dir.clock.now())
	rec.Generation = given
	m.claimed++
	down = m.dir.b.reach.check()
	c = &claim{rec: rec, given: given, token: m.dir.b.nonce + strconv.FormatUint(m.claimed, 36), asking: down == nil}
	m.claims[rec.SpokeID] = c
	delete(m.released, rec.SpokeID)
	if down != nil {
		m.cutOffLocked(down)
	}
	return c, given, floor, m.incarnation, down
}

// answered notes that Claim has its answer.
func (m *membership) answered(c *claim) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c.asking = false
}

func (m *membership) forget(c *claim) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.claims[c.rec.SpokeID] == c {
		delete(m.claims, c.rec.SpokeID)
	}
}

// claim runs the script, again where who stands against it is dead.
func (m *membership) claim(ctx context.Context, c *claim, floor int64, life string) (o outcome, err error) {
	dead := ""
	for range 4 {
		o, err = m.ask(ctx, m.args(c, floor, life, dead, "claim"))
		if err == nil && o.status == claimLate {
			continue // the clock has been set anew
		}
		if err != nil || o.status != claimHeld && o.status != claimSuperseded {
			return o, err
		}
		live, err := m.livesNow(ctx, o.other)
		if err != nil || live {
			return o, err
		}
		dead = strconv.FormatInt(o.generation, 10)
	}
	if o.status == claimLate {
		err = context.DeadlineExceeded
	}
	return o, err
}

func (m *membership) args(c *claim, floor int64, life, dead, how string) rueidis.LuaExec {
	r := m.recordOf(c)
	return rueidis.LuaExec{Keys: []string{m.dir.b.keys.record(r.SpokeID)}, Args: []string{
		r.HubID, life, r.IdentityID, r.InstanceID, strconv.FormatInt(r.Attempt, 10), c.token,
		strconv.FormatInt(r.Generation, 10), strconv.FormatInt(floor, 10), dead, millis(recordLife), how,
		strconv.FormatInt(m.dir.clock.now()+m.dir.b.opts.Timeout.Milliseconds(), 10)}}
}

func (m *membership) ask(ctx context.Context, e rueidis.LuaExec) (outcome, error) {
	asked := time.Now()
	return m.read(asked, e, claimScript.Exec(ctx, m.dir.b.client, e.Keys, e.Args))
}

func (m *membership) read(asked time.Time, e rueidis.LuaExec, r rueidis.RedisResult) (outcome, error) {
	o, err := parseOutcome(r)
	if err != nil {
		return o, fmt.Errorf("the claim of a spoke: %w", err)
	}
	m.dir.clock.set(o.clock, asked)
	if o.garbage {
		m.dir.b.garbageKey(&m.dir.b.counters.recordOnce, e.Keys[0], "another kind of value")
	}
	return o, nil
}

// livesNow asks Redis itself, not the cache, whether a record counts.
func (m *membership) livesNow(ctx context.Context, s stored) (bool, error) {
	b := m.dir.b
	key := b.keys.lease(s.HubID)
	value, err := b.client.Do(ctx, b.client.B().Get().Key(key).Build()).ToString()
	if rueidis.IsRedisNil(err) || m.dir.wrongType(&b.counters.setOnce, key, err) {
		return false, nil
	}
	return value == s.incarnation, err
}

func (m *membership) recordOf(c *claim) hub.Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	return c.rec
}

// granted notes that the hub goes by the generation from now on, which is in Redis.
func (m *membership) granted(c *claim, generation int64, life string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c.given = generation
	m.saidLocked(c, generation, life)
}

// saidLocked notes that a claim is in Redis under a generation. If another hub's
// newer one came meanwhile, the loss is reported to the hub now; if Redis has forgotten this life of the hub, the claim is
// written again; if the hub has released the spoke meanwhile, the record is removed again.
func (m *membership) saidLocked(c *claim, generation int64, life string) {
	c.rec.Generation = generation
	if current := m.claims[c.rec.SpokeID]; current != c {
		if current == nil {
			m.releaseLaterLocked(c)
			m.wake()
		}
		return
	}
	if c.overtaken.Generation > generation {
		m.loseLocked(c, c.overtaken)
		return
	}
	c.said = m.incarnation == life
	if !c.said {
		m.cutOffLocked(errUnsettled)
	}
}

// Release implements [hub.Directory]. Where Redis cannot be asked it is told later.
func (d *directory) Release(ctx context.Context, hubID, spokeID string, generation int64) error {
	m, err := d.membership(hubID)
	if err != nil {
		return err
	}
	m.mu.Lock()
	c := m.claims[spokeID]
	if c != nil && c.given == generation {
		delete(m.claims, spokeID)
	} else {
		c = &claim{rec: hub.Record{SpokeID: spokeID, HubID: hubID, Generation: generation}}
	}
	settled := m.settled
	if !settled {
		m.releaseLaterLocked(c)
	}
	m.mu.Unlock()
	if !settled {
		return nil
	}
	bounded, cancel := d.b.reach.bound(ctx)
	defer cancel()
	e := m.release(c)
	if err = releaseScript.Exec(bounded, d.b.client, e.Keys, e.Args).Error(); err == nil {
		return nil
	}
	err = d.b.reach.judge(ctx, err)
	m.mu.Lock()
	m.releaseLaterLocked(c)
	m.cutOffLocked(err)
	m.mu.Unlock()
	return err
}

func (m *membership) release(c *claim) rueidis.LuaExec {
	return rueidis.LuaExec{Keys: []string{m.dir.b.keys.record(c.rec.SpokeID)},
		Args: []string{m.hubID, strconv.FormatInt(m.recordOf(c).Generation, 10), c.token}}
}

// releaseAtMost bounds what is remembered of spokes that have gone. Beyond it
// they go with the lease: a new life of the hub makes all older records void.
const releaseAtMost = 100_000

func (m *membership) releaseLaterLocked(c *claim) {
	if len(m.released) >= releaseAtMost {
		m.renewLife = true
		clear(m.released)
	}
	if m.claims[c.rec.SpokeID] == nil {
		m.released[c.rec.SpokeID] = c
	}
}
