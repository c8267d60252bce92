package redisbackplane

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/alkdev/hubspoke/hub"
)

// chunk is how many records one pipeline writes.
const chunk = 256

// settle makes Redis know what the hub knows: first the lease, then the rest. It
// returns nil when nothing is left to say.
func (m *membership) settle() error {
	err := m.settleAll()
	if err == nil {
		m.dir.b.reach.open()
		return nil
	}
	err = m.dir.b.reach.judge(m.ctx, err)
	m.cutOff(err)
	m.drainWake()
	return err
}

// drainWake takes back what cutOff woke: the one who would be woken is here.
func (m *membership) drainWake() {
	select {
	case <-m.woken:
	default:
	}
}

func (m *membership) settleAll() error {
	for {
		if err := m.holdLease(); err != nil {
			return err
		}
		steps := m.work()
		if len(steps) == 0 {
			return nil
		}
		if err := m.write(steps); err != nil {
			return err
		}
	}
}

// write takes one step after the other, each with a deadline of its own, and renews the lease on the way. What
// Redis refuses concerns one key: the rest is written nonetheless, and the first refusal is the error then.
func (m *membership) write(steps []func(context.Context) error) error {
	b := m.dir.b
	var first error
	held := time.Now()
	for _, step := range steps {
		if time.Since(held) > b.opts.Lease/3 {
			if err := m.holdLease(); err != nil {
				return err
			}
			held = time.Now()
		}
		ctx, cancel := b.reach.bound(m.ctx)
		err := step(ctx)
		cancel()
		if err != nil && !refused(err) {
			return err
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// holdLease makes sure of the lease. One that was lost begins a new life: what
// Redis still has of the former one does not count, and anybody may clean it up.
func (m *membership) holdLease() error {
	b := m.dir.b
	ctx, cancel := b.reach.bound(m.ctx)
	defer cancel()
	m.mu.Lock()
	have, renew := m.incarnation, m.renewLife
	m.mu.Unlock()
	if renew {
		if err := leaveScript.Exec(ctx, b.client, []string{b.keys.lease(m.hubID), b.keys.mail(m.hubID)}, []string{have}).Error(); err != nil {
			return err
		}
	}
	next := newIncarnation()
	status, _, err := b.askLease(ctx, m.hubID, have, next)
	switch {
	case err != nil:
		return err
	case status == leaseOther:
		return fmt.Errorf("the lease was lost: %w", hub.ErrHubIDInUse)
	case status == leaseFree:
		m.mu.Lock()
		m.incarnation, m.full, m.renewLife = next, true, false
		m.mu.Unlock()
	}
	return nil
}

// work returns the steps that write all that is not in Redis. Without any the hub is settled.
func (m *membership) work() (steps []func(context.Context) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.full {
		m.full, m.listed = false, false
		for op := range m.operations {
			m.unsaid[op] = struct{}{}
		}
		for _, c := range m.claims {
			c.said = false
		}
	}
	life := m.incarnation
	if !m.listed {
		steps = append(steps, func(ctx context.Context) error { return m.sayListed(ctx, life) })
	}
	for op := range m.unsaid {
		steps = append(steps, func(ctx context.Context) error { return m.sayUnsaid(ctx, op) })
	}
	for list := range slices.Chunk(slices.Collect(maps.Values(m.released)), chunk) {
		steps = append(steps, func(ctx context.Context) error { return m.sayReleases(ctx, list) })
	}
	var claims []*claim
	for _, c := range m.claims {
		if !c.said && !c.asking {
			claims = append(claims, c)
		}
	}
	for list := range slices.Chunk(claims, chunk) {
		steps = append(steps, func(ctx context.Context) error { return m.sayClaims(ctx, list, life) })
	}
	if len(steps) == 0 {
		m.settled, m.why = true, nil
	}
	return steps
}

// sayListed writes that the hub is there.
func (m *membership) sayListed(ctx context.Context, life string) error {
	if err := m.enter(ctx, m.dir.b.keys.hubs(), life); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.listed = true
	return nil
}

// sayUnsaid writes whether the hub serves an operation.
func (m *membership) sayUnsaid(ctx context.Context, operation string) error {
	if err := m.sayOperation(ctx, operation); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.unsaid, operation)
	return nil
}

func (m *membership) sayReleases(ctx context.Context, list []*claim) (first error) {
	execs := make([]rueidis.LuaExec, len(list))
	for i, c := range list {
		execs[i] = m.release(c)
	}
	for i, r := range releaseScript.ExecMulti(ctx, m.dir.b.client, execs...) {
		if err := r.Error(); err != nil {
			if !refused(err) {
				return err
			}
			first = cmp.Or(first, err)
			continue
		}
		m.mu.Lock()
		if id := list[i].rec.SpokeID; m.released[id] == list[i] {
			delete(m.released, id)
		}
		m.mu.Unlock()
	}
	return first
}

// sayClaims settles claims: a live claim of another identity wins, otherwise the higher generation.
func (m *membership) sayClaims(ctx context.Context, list []*claim, life string) (first error) {
	execs := make([]rueidis.LuaExec, len(list))
	for i, c := range list {
		execs[i] = m.args(c, 0, life, "", "settle")
	}
	var losers []loser
	asked := time.Now()
	for i, r := range claimScript.ExecMulti(ctx, m.dir.b.client, execs...) {
		c := list[i]
		o, err := m.read(asked, execs[i], r)
		if err == nil {
			o, err = m.contest(ctx, c, o, life)
		}
		if err != nil {
			if !refused(err) {
				return err
			}
			first = cmp.Or(first, err)
			continue
		}
		m.dir.b.counters.settled.Add(1)
		if o.status == claimDone {
			losers = append(losers, loser{o.other, m.recordOf(c)})
		}
	}
	m.tellLosers(ctx, losers)
	return first
}

// contest looks at what a settled claim met.
func (m *membership) contest(ctx context.Context, c *claim, o outcome, life string) (outcome, error) {
	for range 4 {
		switch o.status {
		case claimDone:
			m.mu.Lock()
			m.saidLocked(c, o.generation, life)
			m.mu.Unlock()
			return o, nil
		case claimElsewhere, claimHeld:
			live, err := m.livesNow(ctx, o.other)
			if err != nil {
				return o, err
			}
			if live {
				m.overtake(c, o.other.Record)
				return o, nil
			}
			o, err = m.ask(ctx, m.args(c, 0, life, strconv.FormatInt(o.generation, 10), "settle"))
			if err != nil {
				return o, err
			}
		default: // a newer one of this hub, of another life if this claim is still the last one
			m.mu.Lock()
			current := m.claims[c.rec.SpokeID] == c
			if current {
				c.rec.Generation = o.generation + 1
			}
			m.mu.Unlock()
			if !current {
				return o, nil
			}
			var err error
			if o, err = m.ask(ctx, m.args(c, 0, life, "", "settle")); err != nil {
				return o, err
			}
		}
	}
	return o, nil // it stays unsaid, and is tried again
}
