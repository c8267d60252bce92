package redisbackplane

import (
	"context"
	"slices"

	"github.com/redis/rueidis"
)

// Provide implements [hub.Directory]. Where Redis cannot be asked it is told later.
func (d *directory) Provide(ctx context.Context, hubID, operation string) error {
	return d.serve(ctx, hubID, operation, true)
}

// Withdraw implements [hub.Directory]; see Provide.
func (d *directory) Withdraw(ctx context.Context, hubID, operation string) error {
	return d.serve(ctx, hubID, operation, false)
}

func (d *directory) serve(ctx context.Context, hubID, operation string, served bool) error {
	m, err := d.membership(hubID)
	if err != nil {
		return err
	}
	m.mu.Lock()
	m.operations[operation] = served
	settled := m.settled
	if !settled {
		m.unsaid[operation] = struct{}{}
	}
	m.mu.Unlock()
	if !settled {
		return nil
	}
	bounded, cancel := d.b.reach.bound(ctx)
	defer cancel()
	if err = m.sayOperation(bounded, operation); err == nil {
		return nil
	}
	err = d.b.reach.judge(ctx, err)
	m.mu.Lock()
	m.unsaid[operation] = struct{}{}
	m.cutOffLocked(err)
	m.mu.Unlock()
	return err
}

// sayOperation says whether the hub serves an operation, until what was said is
// what holds: others may say the opposite at the same time.
func (m *membership) sayOperation(ctx context.Context, operation string) error {
	key := m.dir.b.keys.providers(operation)
	for {
		m.mu.Lock()
		served, life := m.operations[operation], m.incarnation
		m.mu.Unlock()
		var err error
		if served {
			err = m.enter(ctx, key, life)
		} else {
			err = m.exit(ctx, key, life)
		}
		if err != nil {
			return err
		}
		m.mu.Lock()
		same := m.operations[operation] == served && m.incarnation == life
		if same && !served {
			delete(m.operations, operation)
		}
		m.mu.Unlock()
		if same {
			return nil
		}
	}
}

// enter puts the hub into a set.
func (m *membership) enter(ctx context.Context, key, life string) error {
	b := m.dir.b
	garbage, err := memberScript.Exec(ctx, b.client, []string{key},
		[]string{member{life, m.hubID}.String(), millis(recordLife)}).AsInt64()
	if garbage == 1 {
		b.garbageKey(&b.counters.setOnce, key, "another kind of value")
	}
	return err
}

// exit takes the hub out of a set.
func (m *membership) exit(ctx context.Context, key, life string) error {
	b := m.dir.b
	err := b.client.Do(ctx, b.client.B().Srem().Key(key).Member(member{life, m.hubID}.String()).Build()).Error()
	if m.dir.wrongType(&b.counters.setOnce, key, err) {
		return nil
	}
	return err
}

// withdrawAll takes out what the hub has said, as far as ctx lets it: it does not
// count any more, since the lease is gone.
func (m *membership) withdrawAll(ctx context.Context) {
	b := m.dir.b
	m.mu.Lock()
	who := member{m.incarnation, m.hubID}.String()
	srem := []rueidis.Completed{b.client.B().Srem().Key(b.keys.hubs()).Member(who).Build()}
	for op := range m.operations {
		srem = append(srem, b.client.B().Srem().Key(b.keys.providers(op)).Member(who).Build())
	}
	var claims []*claim
	for _, c := range m.claims {
		claims = append(claims, c)
	}
	for _, c := range m.released {
		claims = append(claims, c)
	}
	m.mu.Unlock()
	bounded, cancel := b.reach.bound(ctx)
	defer cancel()
	b.client.DoMulti(bounded, srem...)
	for list := range slices.Chunk(claims, chunk) {
		_ = m.sayReleases(bounded, list) // what is left expires
	}
}
