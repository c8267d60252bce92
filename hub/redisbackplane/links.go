package redisbackplane

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/transport"
)

// links is the hub.Links in Redis.
type links struct {
	b *Backplane

	mu   sync.Mutex // guards the field below
	hubs map[string]*station
}

var _ hub.Links = (*links)(nil)

// station is where the links of one hub of this process end. The ends are
// told apart by incarnations: a random part for the station and a number.
type station struct {
	b      *Backplane
	hubID  string
	life   string
	inbox  *inbox
	accept func(string, transport.Conn)
	out    *sender
	ctx    context.Context
	stop   context.CancelFunc
	wg     sync.WaitGroup // the wheel, accept, and closes

	mu       sync.Mutex      // guards the fields below
	ends     map[string]*end // by their own incarnation
	byRemote map[remote]*end // by the other end's
	next     uint64
	left     bool
	turning  bool // the wheel runs
}

// remote names the other end of a link.
type remote struct{ hubID, incarnation string }

// endsAtMost bounds the ends of one hub; two for each other hub are the most that is needed.
const endsAtMost = 4096

var (
	errNobody  = errors.New("redisbackplane: no hub hears on the other side")
	errLeft    = errors.New("redisbackplane: the hub has left")
	errReset   = errors.New("redisbackplane: the other side has reset the link")
	errNewLife = errors.New("redisbackplane: the other hub has begun anew")
	errTooMany = fmt.Errorf("redisbackplane: too many links: limit %d of one hub (not configurable)", endsAtMost)
)

// Join implements [hub.Links]. It returns when the hub hears.
func (ls *links) Join(hubID string, accept func(string, transport.Conn)) (func(), error) {
	in, err := ls.b.enter(context.Background(), hubID)
	if err != nil {
		return nil, err
	}
	s := &station{b: ls.b, hubID: hubID, life: newIncarnation(), inbox: in, accept: accept,
		ends: make(map[string]*end), byRemote: make(map[remote]*end)}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.out = newSender(s)
	ls.mu.Lock()
	taken := ls.hubs[hubID] != nil
	if !taken {
		if ls.hubs == nil {
			ls.hubs = make(map[string]*station)
		}
		ls.hubs[hubID] = s
		in.setLink(s.receive, s.fell)
	}
	ls.mu.Unlock()
	if taken {
		ls.b.exit(in)
		return nil, hub.ErrHubIDInUse
	}
	return sync.OnceFunc(func() { ls.leave(s) }), nil
}

// leave ends all links. What they have begun to close gets the time of one call to say so.
func (ls *links) leave(s *station) {
	s.mu.Lock()
	s.left = true
	all := slices.Collect(maps.Values(s.ends))
	s.mu.Unlock()
	for _, e := range all {
		e.goAway()
	}
	s.inbox.setLink(nil, nil)
	s.out.close()
	s.stop()
	s.wg.Wait()
	ls.mu.Lock()
	delete(ls.hubs, s.hubID) // from now on the id is free for another Join
	ls.mu.Unlock()
	ls.b.exit(s.inbox)
}

// Dial implements [hub.Links]. It says to the other hub that the link is there and
// fails where Redis knows of nobody who hears that, so that a hub which is gone costs no call.
func (ls *links) Dial(ctx context.Context, from, to string) (transport.Conn, error) {
	ls.mu.Lock()
	s := ls.hubs[from]
	ls.mu.Unlock()
	if s == nil {
		return nil, errNotJoined
	}
	if err := errors.Join(s.b.reach.check(), s.inbox.check()); err != nil {
		return nil, err
	}
	e, err := s.open(to, remote{})
	if err != nil {
		return nil, err
	}
	bounded, cancel := s.b.reach.bound(ctx)
	defer cancel()
	n, err := s.b.client.Do(bounded, s.b.publish(to, string(append(e.head(0), `,"open":true}`...)))).AsInt64()
	err = s.b.reach.judge(ctx, err)
	if err == nil && n == 0 {
		err = errNobody
	}
	if err != nil {
		e.abandon(!errors.Is(err, errNobody)) // the other hub may have opened the link all the same, and used it
		return nil, fmt.Errorf("hub %q: %w", to, err)
	}
	return e, nil
}

// open makes an end. other is empty where this side dials.
func (s *station) open(hubID string, other remote) (*end, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.left:
		return nil, errLeft
	case len(s.ends) >= endsAtMost:
		return nil, errTooMany
	}
	s.next++
	e := newEnd(s, hubID, s.next, other.incarnation)
	s.ends[e.incarnation] = e
	if other.incarnation != "" {
		s.byRemote[other] = e
	}
	s.wheelLocked()
	return e, nil
}

// forget takes an end out that has ended.
func (s *station) forget(e *end, other string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.ends, e.incarnation)
	if r := (remote{e.hubID, other}); s.byRemote[r] == e {
		delete(s.byRemote, r)
	}
}

// fell resets all links, since the hub does not hear any more.
func (s *station) fell(err error) {
	for _, e := range s.all() {
		e.lose(err)
	}
}

func (s *station) all() []*end {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.ends))
}

// receive takes a message of a link. It never waits.
func (s *station) receive(text string) {
	m, err := parseMessage(text)
	if err != nil {
		s.b.garbageMessage(s.inbox.channel, err)
		return
	}
	if m.Reset {
		s.reset(&m)
		return
	}
	e, isNew := s.find(&m)
	if e == nil {
		s.b.counters.strays.Add(1)
		s.out.post(outgoing{hubID: m.From, text: string(append(appendHead(nil, s.inbox.quoted, "", m.Incarnation, 0), `,"reset":true}`...))})
		return
	}
	if isNew {
		s.hand(e)
	}
	e.receive(&m)
}

// hand gives the hub an end that another hub has opened, and tells that one its incarnation.
func (s *station) hand(e *end) {
	e.say(`,"tick":true}`)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.left {
		s.wg.Go(func() { s.accept(e.hubID, e) })
	}
}

// find gives the end that a message is for, and makes it for one that opens a link.
func (s *station) find(m *message) (e *end, isNew bool) {
	from := remote{m.From, m.Incarnation}
	s.mu.Lock()
	if m.To != "" {
		e = s.ends[m.To]
		s.mu.Unlock()
		if e == nil || e.hubID != m.From || !e.learn(m.Incarnation) {
			return nil, false
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.ends[m.To] == e {
			s.byRemote[from] = e
		}
		return e, false
	}
	e = s.byRemote[from]
	s.mu.Unlock()
	if e != nil || !m.Open {
		return e, false
	}
	s.endOlder(from)
	e, err := s.open(m.From, from)
	if err != nil {
		return nil, false
	}
	return e, true
}

// endOlder resets the links to a hub's former life.
func (s *station) endOlder(from remote) {
	for _, e := range s.all() {
		if other := e.other(); e.hubID == from.hubID && other != "" && lifeOf(other) != lifeOf(from.incarnation) {
			e.lose(errNewLife)
		}
	}
}

// reset ends the link that the other side does not have any more.
func (s *station) reset(m *message) {
	s.mu.Lock()
	e := s.ends[m.To]
	if m.To == "" {
		e = s.byRemote[remote{m.From, m.Incarnation}]
	}
	s.mu.Unlock()
	if e != nil && e.hubID == m.From {
		e.lose(errReset)
	}
}
