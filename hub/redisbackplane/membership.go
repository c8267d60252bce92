package redisbackplane

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/internal/drainer"
)

// membership is a hub of this process in the directory. It remembers all that the
// hub has said, renews the lease, and says everything again when Redis has forgotten.
type membership struct {
	dir   *directory
	hubID string
	inbox *inbox
	lost  func(hub.Record)
	ctx   context.Context
	stop  context.CancelFunc
	woken chan struct{}
	gone  chan struct{} // closed when run has ended
	letGo func()        // of the wakers
	// losses are reported to the hub. Each claim is lost once at most, which bounds them.
	losses *drainer.Queue[hub.Record]

	mu          sync.Mutex // guards the fields below
	incarnation string
	claims      map[string]*claim
	claimed     uint64              // the number of the last claim
	released    map[string]*claim   // that Redis has not been told of
	operations  map[string]bool     // served; false is one that is withdrawn and still in Redis
	unsaid      map[string]struct{} // operations that Redis has not been told of
	listed      bool                // the hub is in the set of hubs
	settled     bool                // what is in Redis is what is here
	full        bool                // to settle, say everything again
	why         error               // of not being settled
	renewLife   bool                // a new life is needed: too much of this one waits to be taken back
	left        bool
}

// errUnsettled is what a hub gets that has been cut off from Redis.
var errUnsettled = errors.New("redisbackplane: what the hub has said is not all in Redis yet")

// Join implements [hub.Directory]. Where the id is in use it waits one lease for
// the one that has it.
func (d *directory) Join(ctx context.Context, hubID string, lost func(hub.Record)) (func(context.Context), error) {
	b := d.b
	incarnation := newIncarnation()
	if err := d.takeLease(ctx, hubID, incarnation); err != nil {
		return nil, err
	}
	in, err := b.enter(ctx, hubID)
	if err != nil {
		d.giveLease(ctx, hubID, incarnation)
		return nil, err
	}
	m := &membership{dir: d, hubID: hubID, inbox: in, lost: lost, incarnation: incarnation,
		woken: make(chan struct{}, 1), gone: make(chan struct{}),
		claims: make(map[string]*claim), released: make(map[string]*claim),
		operations: make(map[string]bool), unsaid: make(map[string]struct{}), full: true}
	m.ctx, m.stop = context.WithCancel(context.Background())
	m.losses = drainer.New(m, drainer.Options{})
	err = m.settle()
	if err == nil {
		d.mu.Lock()
		switch {
		case d.closed:
			err = errClosed
		case d.members[hubID] != nil:
			err = hub.ErrHubIDInUse
		default:
			if d.members == nil {
				d.members = make(map[string]*membership)
			}
			d.members[hubID] = m
		}
		d.mu.Unlock()
	}
	if err != nil {
		m.stop()
		d.giveLease(ctx, hubID, incarnation)
		b.exit(in)
		return nil, err
	}
	b.reach.open()
	m.letGo = b.reach.watch(m.woken)
	in.setMail(m.mail)
	go m.run() // wait joins it
	return func(ctx context.Context) { d.leave(ctx, m) }, nil
}

// takeLease waits up to one lease for a predecessor.
func (d *directory) takeLease(ctx context.Context, hubID, incarnation string) error {
	b := d.b
	limit := time.NewTimer(b.opts.Lease + b.opts.Lease/10)
	defer limit.Stop()
	for {
		bounded, cancel := b.reach.bound(ctx)
		status, left, err := b.askLease(bounded, hubID, incarnation, incarnation)
		cancel()
		if err != nil {
			return fmt.Errorf("redisbackplane: the lease of the hub: %w", err)
		}
		if status != leaseOther {
			return nil
		}
		again := time.NewTimer(min(left+time.Millisecond, b.opts.Lease/10))
		select {
		case <-again.C:
		case <-limit.C:
			again.Stop()
			return hub.ErrHubIDInUse
		case <-ctx.Done():
			again.Stop()
			return context.Cause(ctx)
		}
	}
}

// What joinScript answers first, beside 1 for a lease that the hub has.
const (
	leaseFree  = 2
	leaseOther = 3
)

func (b *Backplane) askLease(ctx context.Context, hubID, have, take string) (status int64, left time.Duration, err error) {
	asked := time.Now()
	list, err := joinScript.Exec(ctx, b.client, []string{b.keys.lease(hubID)}, []string{have, take, millis(b.opts.Lease)}).AsIntSlice()
	if err != nil {
		return 0, 0, err
	}
	if len(list) != 3 {
		return 0, 0, errNoRecord
	}
	b.dir.clock.set(list[2], asked)
	return list[0], time.Duration(list[1]) * time.Millisecond, nil
}

func (d *directory) giveLease(ctx context.Context, hubID, incarnation string) {
	ctx, cancel := d.b.reach.bound(context.WithoutCancel(ctx))
	defer cancel()
	// Where it fails the lease ends by itself.
	_ = leaveScript.Exec(ctx, d.b.client, []string{d.b.keys.lease(hubID), d.b.keys.mail(hubID)}, []string{incarnation}).Error()
}

// leave takes the hub out: first the lease, by which all else stops to count.
func (d *directory) leave(ctx context.Context, m *membership) {
	m.mu.Lock()
	m.left = true
	m.mu.Unlock()
	m.stop()
	select {
	case <-m.gone:
	case <-ctx.Done(): // Close waits for it
	}
	m.letGo()
	d.mu.Lock()
	if d.members[m.hubID] == m {
		delete(d.members, m.hubID)
	}
	d.mu.Unlock()
	if d.b.reach.check() == nil {
		d.giveLease(ctx, m.hubID, m.life()) // run may still be under way, where ctx ended first
		m.withdrawAll(ctx)
	}
	d.b.exit(m.inbox)
	m.wait()
}

// wait returns when run has ended and the hub has returned from its last loss.
func (m *membership) wait() {
	<-m.gone
	m.losses.Close()
}

// retryPeriod is how often a hub that is cut off tries to reach Redis. What Redis refuses is tried less and
// less often, down to once in a renewal period.
const retryPeriod = 200 * time.Millisecond

// run renews the lease, and settles where that is needed, until the hub leaves.
func (m *membership) run() {
	defer close(m.gone)
	b := m.dir.b
	period := b.opts.Lease / 3
	timer := time.NewTimer(period)
	defer timer.Stop()
	refreshed := time.Now()
	retry := retryPeriod
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-m.woken:
		case <-timer.C:
		}
		if time.Since(refreshed) > b.refresh {
			refreshed = time.Now()
			m.refresh()
		}
		err := m.beat()
		wait := period
		if err != nil {
			wait = min(period, retry)
		}
		if retry = retryPeriod; refused(err) {
			retry = min(2*wait, period)
		}
		timer.Reset(wait)
	}
}

// beat renews the lease, and settles if that is needed. A hub that something is refused renews all the same:
// its letters and its other records must not wait for that.
func (m *membership) beat() error {
	if err := m.dir.b.reach.check(); err != nil {
		m.cutOff(err)
	} else if m.renew() == nil {
		if settled, more := m.state(); settled && !more {
			return nil
		}
	}
	settled, _ := m.state()
	err := m.settle()
	if err == nil && !settled {
		m.dir.b.log.Info().Str("hub", m.hubID).Msg("the directory knows all of this hub again")
	}
	return err
}

// renew renews the lease and reads the mail. An error has unsettled the hub.
func (m *membership) renew() error {
	b := m.dir.b
	ctx, cancel := b.reach.bound(m.ctx)
	defer cancel()
	asked := time.Now()
	mail, err := renewScript.Exec(ctx, b.client, []string{b.keys.lease(m.hubID), b.keys.mail(m.hubID)},
		[]string{m.life(), millis(b.opts.Lease)}).AsStrSlice()
	if err == nil && len(mail) == 0 {
		err = errors.New("the lease was lost")
		m.cutOff(err)
		return err
	}
	if err == nil {
		if now, err := strconv.ParseInt(mail[0], 10, 64); err == nil {
			m.dir.clock.set(now, asked)
		}
		for _, text := range mail[1:] {
			m.mail(text)
		}
		err = m.checkSome(ctx)
	}
	if err != nil {
		err = b.reach.judge(m.ctx, err)
		m.cutOff(err)
	}
	return err
}

func (m *membership) life() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.incarnation
}

// state reports whether all claims of the hub are in Redis, and whether there is more to write nonetheless.
func (m *membership) state() (settled, more bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.settled, m.full || len(m.unsaid) > 0 || len(m.released) > 0
}

// refresh has everything written again, so that no key of a hub that lives expires. The hub stays settled.
func (m *membership) refresh() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.full = true
}

// cutOff records that Redis may not have all claims of the hub. After a call that
// ran out of time, or that Redis refused, only what was not confirmed is written again, otherwise everything:
// then it is unknown what Redis still has.
func (m *membership) cutOff(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cutOffLocked(err)
}

func (m *membership) cutOffLocked(err error) {
	m.settled, m.why = false, err
	if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, errUnsettled) && !refused(err) {
		m.full = true
	}
	m.wake()
}

func (m *membership) wake() {
	select {
	case m.woken <- struct{}{}:
	default: // it has been woken already
	}
}

func (m *membership) trouble() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.settled {
		return nil
	}
	return m.why
}

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
