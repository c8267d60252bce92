package redisbackplane

import (
	"context"
	"errors"
	"slices"
	"strings"
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
	fields, err := d.read(bounded, []string{key},
		func(key string) rueidis.Cacheable { return b.client.B().Hgetall().Key(key).Cache() },
		func(key string) rueidis.Completed { return b.client.B().Hgetall().Key(key).Build() })[0].AsStrMap()
	if d.wrongType(&b.counters.recordOnce, key, err) {
		return hub.Record{}, false, nil
	}
	if err != nil {
		return hub.Record{}, false, b.reach.judge(ctx, err)
	}
	rec, ok, err := parseRecord(spokeID, fields, d.clock.now())
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
	if !ok || !strings.HasPrefix(e.Error(), "WRONGTYPE") {
		return false
	}
	d.b.garbageKey(once, key, e.Error())
	return true
}

// live reports of each hub whether its lease lives, under the incarnation of the member.
func (d *directory) live(ctx context.Context, hubs ...member) ([]bool, error) {
	c := d.b.client
	keys := make([]string, len(hubs))
	for i, h := range hubs {
		keys[i] = d.b.keys.lease(h.hubID)
	}
	answers := d.read(ctx, keys,
		func(key string) rueidis.Cacheable { return c.B().Get().Key(key).Cache() },
		func(key string) rueidis.Completed { return c.B().Get().Key(key).Build() })
	out := make([]bool, len(hubs))
	for i, a := range answers {
		value, err := a.ToString()
		switch {
		case err == nil:
			out[i] = value == hubs[i].incarnation
		case rueidis.IsRedisNil(err), d.wrongType(&d.b.counters.setOnce, keys[i], err):
		default:
			return nil, err
		}
	}
	return out, nil
}

// read asks for keys through the client-side cache. rueidis fills the cache in a transaction, which a full
// Redis aborts; then read asks without the cache.
func (d *directory) read(ctx context.Context, keys []string, cached func(string) rueidis.Cacheable, plain func(string) rueidis.Completed) []rueidis.RedisResult {
	c, lease := d.b.client, d.b.opts.Lease
	var answers []rueidis.RedisResult
	if len(keys) == 1 {
		answers = []rueidis.RedisResult{c.DoCache(ctx, cached(keys[0]), lease)}
	} else if len(keys) > 0 {
		ask := make([]rueidis.CacheableTTL, len(keys))
		for i, key := range keys {
			ask[i] = rueidis.CT(cached(key), lease)
		}
		answers = c.DoMultiCache(ctx, ask...)
	}
	var again []rueidis.Completed
	var at []int
	for i, a := range answers {
		if err := a.Error(); errors.Is(err, rueidis.ErrDoCacheAborted) || full(err) {
			again, at = append(again, plain(keys[i])), append(at, i)
		}
	}
	if len(again) > 0 {
		for i, a := range c.DoMulti(ctx, again...) {
			answers[at[i]] = a
		}
	}
	return answers
}

// full reports whether Redis has refused a command since it has reached its maxmemory.
func full(err error) bool {
	e, ok := rueidis.IsRedisErr(err)
	return ok && strings.HasPrefix(e.Error(), "OOM ")
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
	texts, err := d.read(bounded, []string{key},
		func(key string) rueidis.Cacheable { return b.client.B().Smembers().Key(key).Cache() },
		func(key string) rueidis.Completed { return b.client.B().Smembers().Key(key).Build() })[0].AsStrSlice()
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
		m.wait()
	}
	d.cleaner.wg.Wait()
}
