package redisbackplane

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/alkdev/hubspoke/hub"
)

// chunk is how much is said to Redis in one go.
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
	if err := m.holdLease(); err != nil {
		return err
	}
	for {
		w := m.work()
		if w.nothing() {
			return nil
		}
		ctx, cancel := m.dir.b.reach.bound(m.ctx)
		err := m.sayMembers(ctx, w)
		if err == nil {
			err = m.sayReleases(ctx, w.releases)
		}
		if err == nil {
			err = m.sayClaims(ctx, w.claims, w.life)
		}
		cancel()
		if err != nil {
			return err
		}
	}
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

// work is what is to be said in one go.
type work struct {
	life       string
	list       bool // the hub itself
	operations []string
	claims     []*claim
	releases   []*claim
}

func (w *work) nothing() bool {
	return !w.list && len(w.operations) == 0 && len(w.claims) == 0 && len(w.releases) == 0
}

// work finds the next things to say. With nothing left the hub is settled.
func (m *membership) work() *work {
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
	w := &work{life: m.incarnation, list: !m.listed}
	for op := range m.unsaid {
		if len(w.operations) == chunk {
			break
		}
		w.operations = append(w.operations, op)
	}
	for _, c := range m.released {
		if len(w.releases) == chunk {
			break
		}
		w.releases = append(w.releases, c)
	}
	for _, c := range m.claims {
		if len(w.claims) == chunk {
			break
		}
		if !c.said {
			w.claims = append(w.claims, c)
		}
	}
	if w.nothing() {
		m.settled, m.why = true, nil
	}
	return w
}

// sayMembers says that the hub is there, and what it serves.
func (m *membership) sayMembers(ctx context.Context, w *work) error {
	if w.list {
		if err := m.enter(ctx, m.dir.b.keys.hubs(), w.life); err != nil {
			return err
		}
		m.mu.Lock()
		m.listed = true
		m.mu.Unlock()
	}
	for _, op := range w.operations {
		if err := m.sayOperation(ctx, op); err != nil {
			return err
		}
		m.mu.Lock()
		delete(m.unsaid, op)
		m.mu.Unlock()
	}
	return nil
}

func (m *membership) sayReleases(ctx context.Context, list []*claim) error {
	if len(list) == 0 {
		return nil
	}
	execs := make([]rueidis.LuaExec, len(list))
	for i, c := range list {
		execs[i] = m.release(c)
	}
	for i, r := range releaseScript.ExecMulti(ctx, m.dir.b.client, execs...) {
		if err := r.Error(); err != nil {
			return err
		}
		m.mu.Lock()
		if id := list[i].rec.SpokeID; m.released[id] == list[i] {
			delete(m.released, id)
		}
		m.mu.Unlock()
	}
	return nil
}

// sayClaims settles claims: the higher generation wins.
func (m *membership) sayClaims(ctx context.Context, list []*claim, life string) error {
	if len(list) == 0 {
		return nil
	}
	execs := make([]rueidis.LuaExec, len(list))
	for i, c := range list {
		execs[i] = m.args(c, 0, life, "", "settle")
	}
	var losers []loser
	asked := time.Now()
	for i, r := range claimScript.ExecMulti(ctx, m.dir.b.client, execs...) {
		c := list[i]
		o, err := m.read(asked, execs[i], r)
		if err != nil {
			return err
		}
		if o, err = m.contest(ctx, c, o, life); err != nil {
			return err
		}
		m.dir.b.counters.settled.Add(1)
		if o.status == claimDone {
			losers = append(losers, loser{o.other, m.recordOf(c)})
		}
	}
	m.tellLosers(ctx, losers)
	return nil
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
		case claimElsewhere:
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
