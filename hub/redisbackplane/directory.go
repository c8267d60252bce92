package redisbackplane

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/redis/rueidis"

	"github.com/alkdev/hubspoke/hub"
)

// directory is the hub.Directory in Redis. Reads go through rueidis' client-side
// cache; what a hub says of itself goes through its membership, which remembers it.
type directory struct {
	b       *Backplane
	cleaner cleaner
	clock   clock

	mu      sync.Mutex // guards the fields below
	members map[string]*membership
	closed  bool
}

var _ hub.Directory = (*directory)(nil)

var (
	errClosed    = errors.New("redisbackplane: closed")
	errNotJoined = errors.New("redisbackplane: the hub has not joined")
)

// membership gives that of a hub of this process.
func (d *directory) membership(hubID string) (*membership, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := d.members[hubID]
	if m == nil {
		return nil, errNotJoined
	}
	return m, nil
}

// Spoke implements [hub.Directory]. It answers from the cache where it can.
func (d *directory) Spoke(ctx context.Context, spokeID string) (hub.Record, bool, error) {
	b := d.b
	if err := b.reach.check(); err != nil {
		return hub.Record{}, false, err
	}
	bounded := b.reach.patient(ctx)
	defer bounded.end()
	key := b.keys.record(spokeID)
	fields, err := b.client.DoCache(bounded, b.client.B().Hgetall().Key(key).Cache(), b.opts.Lease).AsStrMap()
	if d.wrongType(&b.counters.recordOnce, key, err) {
		return hub.Record{}, false, nil
	}
	if err != nil {
		return hub.Record{}, false, b.reach.judge(ctx, err)
	}
	rec, ok, err := parseRecord(spokeID, fields)
	if err != nil {
		b.garbageKey(&b.counters.recordOnce, key, "fields that are no record")
	}
	if !ok {
		return hub.Record{}, false, nil
	}
	live, err := d.live(bounded, member{rec.incarnation, rec.HubID})
	if err != nil {
		return hub.Record{}, false, b.reach.judge(ctx, err)
	}
	if !live[0] {
		return hub.Record{}, false, nil
	}
	return rec.Record, true, nil
}

// wrongType counts a key that holds another kind of value.
func (d *directory) wrongType(once *sync.Once, key string, err error) bool {
	e, ok := rueidis.IsRedisErr(err)
	if !ok || len(e.Error()) < 9 || e.Error()[:9] != "WRONGTYPE" {
		return false
	}
	d.b.garbageKey(once, key, e.Error())
	return true
}

// live says of each hub whether its lease lives, under the incarnation given.
func (d *directory) live(ctx context.Context, hubs ...member) ([]bool, error) {
	c, lease := d.b.client, d.b.opts.Lease
	var answers []rueidis.RedisResult
	if len(hubs) == 1 {
		answers = []rueidis.RedisResult{c.DoCache(ctx, c.B().Get().Key(d.b.keys.lease(hubs[0].hubID)).Cache(), lease)}
	} else if len(hubs) > 0 {
		ask := make([]rueidis.CacheableTTL, len(hubs))
		for i, h := range hubs {
			ask[i] = rueidis.CT(c.B().Get().Key(d.b.keys.lease(h.hubID)).Cache(), lease)
		}
		answers = c.DoMultiCache(ctx, ask...)
	}
	out := make([]bool, len(hubs))
	for i, a := range answers {
		value, err := a.ToString()
		switch {
		case err == nil:
			out[i] = value == hubs[i].incarnation
		case rueidis.IsRedisNil(err), d.wrongType(&d.b.counters.setOnce, d.b.keys.lease(hubs[i].hubID), err):
		default:
			return nil, err
		}
	}
	return out, nil
}

// Providers implements [hub.Directory].
func (d *directory) Providers(ctx context.Context, operation string) ([]string, error) {
	return d.set(ctx, d.b.keys.providers(operation))
}

// Hubs implements [hub.Directory].
func (d *directory) Hubs(ctx context.Context) ([]string, error) {
	return d.set(ctx, d.b.keys.hubs())
}

// set gives the live hubs in a set, sorted.
func (d *directory) set(ctx context.Context, key string) ([]string, error) {
	b := d.b
	if err := b.reach.check(); err != nil {
		return nil, err
	}
	bounded := b.reach.patient(ctx)
	defer bounded.end()
	texts, err := b.client.DoCache(bounded, b.client.B().Smembers().Key(key).Cache(), b.opts.Lease).AsStrSlice()
	if d.wrongType(&b.counters.setOnce, key, err) {
		return nil, nil
	}
	if err != nil {
		return nil, b.reach.judge(ctx, err)
	}
	members := make([]member, 0, len(texts))
	for _, s := range texts {
		if m, ok := parseMember(s); ok {
			members = append(members, m)
		} else {
			b.garbageKey(&b.counters.setOnce, key, "a member that is no hub")
		}
	}
	live, err := d.live(bounded, members...)
	if err != nil {
		return nil, b.reach.judge(ctx, err)
	}
	hubs := make([]string, 0, len(members))
	for i, m := range members {
		if live[i] {
			hubs = append(hubs, m.hubID)
		} else {
			d.cleaner.clean(d.b, key, m)
		}
	}
	slices.Sort(hubs)
	return slices.Compact(hubs), nil
}

// reasons says of which hubs not everything is in the directory.
func (d *directory) reasons() (out []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, m := range d.members {
		if err := m.trouble(); err != nil {
			out = append(out, "directory: hub "+m.hubID+": "+err.Error())
		}
	}
	return out
}

func (d *directory) close() {
	d.mu.Lock()
	d.closed = true
	members := make([]*membership, 0, len(d.members))
	for _, m := range d.members {
		members = append(members, m)
	}
	d.mu.Unlock()
	for _, m := range members {
		m.stop()
		m.wg.Wait()
	}
	d.cleaner.wg.Wait()
}
