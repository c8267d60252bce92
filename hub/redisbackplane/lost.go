package redisbackplane

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"

	"github.com/redis/rueidis"

	"github.com/alkdev/hubspoke/hub"
)

// loser is a record that another has taken the place of.
type loser struct {
	old   stored
	newer hub.Record
}

// letter tells a hub that it has lost a spoke. It goes to the hub's inbox, and as
// mail that the hub finds at its next renewal should the message be lost.
type letter struct {
	Spoke      string `json:"spoke"`
	Hub        string `json:"hub"`
	Generation int64  `json:"generation"`
	Identity   string `json:"identity,omitempty"`
	Instance   string `json:"instance,omitempty"`
	Attempt    int64  `json:"attempt,omitempty"`
}

// tellLosers writes to the other hubs among them. What fails is found by the loser's own checks.
func (m *membership) tellLosers(ctx context.Context, list []loser) {
	b := m.dir.b
	var publish []rueidis.Completed
	var mail []rueidis.LuaExec
	for _, l := range list {
		if l.old.HubID == "" || l.old.HubID == m.hubID {
			continue
		}
		r := l.newer
		text, _ := json.Marshal(&letter{r.SpokeID, r.HubID, r.Generation, r.IdentityID, r.InstanceID, r.Attempt}) // always marshals
		mail = append(mail, rueidis.LuaExec{Keys: []string{b.keys.mail(l.old.HubID)},
			Args: []string{string(text), millis(3 * b.opts.Lease)}})
		publish = append(publish, b.publish(l.old.HubID, string(appendMail(nil, m.inbox.quoted, text))))
	}
	if len(mail) == 0 {
		return
	}
	answers := mailScript.ExecMulti(ctx, b.client, mail...)
	answers = append(answers, b.client.DoMulti(ctx, publish...)...)
	for _, a := range answers {
		if err := a.Error(); err != nil {
			b.log.Warn().Err(b.reach.judge(ctx, err)).Msg("another hub could not be told that a spoke has moved; it finds out by itself")
			return
		}
	}
}

// mail takes a letter, from the inbox or the renewal. It does not wait.
func (m *membership) mail(text string) {
	var l letter
	if err := json.Unmarshal([]byte(text), &l); err != nil || l.Spoke == "" || l.Hub == "" ||
		l.Generation > m.dir.clock.now()+recordLife.Milliseconds() {
		m.dir.b.garbageMessage(m.dir.b.keys.mail(m.hubID), errors.New("not a letter"))
		return
	}
	newer := hub.Record{SpokeID: l.Spoke, HubID: l.Hub, Generation: l.Generation, IdentityID: l.Identity,
		InstanceID: l.Instance, Attempt: l.Attempt}
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.claims[l.Spoke]
	switch {
	case c == nil || l.Hub == m.hubID:
	case !c.said:
		if newer.Generation > c.overtaken.Generation {
			c.overtaken = newer
		}
	case newer.Generation > c.rec.Generation:
		m.loseLocked(c, newer)
	}
}

// overtake gives a claim up for a record that stands in Redis.
func (m *membership) overtake(c *claim, newer hub.Record) {
	newer.SpokeID = c.rec.SpokeID
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.claims[newer.SpokeID] == c {
		m.loseLocked(c, newer)
	}
}

// loseLocked forgets a claim and queues the report to the hub.
func (m *membership) loseLocked(c *claim, newer hub.Record) {
	delete(m.claims, c.rec.SpokeID)
	m.dir.b.counters.lost.Add(1)
	newer.Generation = max(newer.Generation, c.given) // by whichever clock: it is the newer one
	_ = m.losses.Add(newer)                           // fails only when the hub has left
}

// Handle implements [drainer.Handler]: it reports losses to the hub, unless that has left.
func (m *membership) Handle(losses []hub.Record) {
	for _, newer := range losses {
		m.mu.Lock()
		left := m.left
		m.mu.Unlock()
		if !left {
			m.lost(newer)
		}
	}
}

// checkAtMost is how many records are looked at each time a lease is renewed, for
// what no letter told: a key that somebody deleted, a hub that died before it wrote.
const checkAtMost = 32

func (m *membership) checkSome(ctx context.Context) (first error) {
	b := m.dir.b
	m.mu.Lock()
	var list []*claim
	for _, c := range m.claims { // in random order
		if len(list) == checkAtMost {
			break
		}
		if c.said {
			list = append(list, c)
		}
	}
	m.mu.Unlock()
	ask := make([]rueidis.Completed, len(list))
	for i, c := range list {
		ask[i] = b.client.B().Hgetall().Key(b.keys.record(c.rec.SpokeID)).Build()
	}
	for i, a := range b.client.DoMulti(ctx, ask...) {
		fields, err := a.AsStrMap()
		if err != nil && !m.dir.wrongType(&b.counters.recordOnce, b.keys.record(list[i].rec.SpokeID), err) {
			if !refused(err) {
				return err
			}
			first = cmp.Or(first, err)
			continue
		}
		rec, ok, _ := parseRecord(list[i].rec.SpokeID, fields, m.dir.clock.now())
		m.compare(list[i], rec, ok)
	}
	return first
}

// compare looks at a record that should be c's.
func (m *membership) compare(c *claim, rec stored, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.claims[c.rec.SpokeID] != c || !c.said:
	case ok && rec.HubID == m.hubID && rec.incarnation == m.incarnation:
	case ok && rec.HubID != m.hubID && rec.Generation > c.rec.Generation:
		m.loseLocked(c, rec.Record)
	default:
		c.said = false
		m.cutOffLocked(errUnsettled)
	}
}
