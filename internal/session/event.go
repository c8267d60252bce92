package session

import (
	"slices"

	"github.com/alkdev/hubspoke/internal/wire"
)

// AppendEvent appends an event of a topic. It never waits. Over the budget the event is dropped and a gap is reported in
// its place, or the session ends, by configuration. A nil buffer stands for an event that this session cannot carry: it
// leaves a gap in any case. If ready is true, no other goroutine will write the frames: call [Session.FlushReady] soon.
func (s *Session) AppendEvent(topic string, b *Buffer) (ready bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.cause != nil:
		b.Free()
	case b == nil:
		s.dropLocked(topic)
		if s.flushedLocked() { // otherwise the flusher does it when it has written: gaps that come together become one
			s.appendGapsLocked()
		}
	case !s.eventsFullLocked(len(b.B)):
		s.appendGapLocked(topic)
		s.appendLocked(event, b)
	case s.opts.EndOnSlowEvents:
		b.Free()
		s.slowLocked()
	default:
		b.Free()
		s.dropLocked(topic)
	}
	return s.claimFlushLocked()
}

// eventsFullLocked reports whether an event of that size must be dropped.
func (s *Session) eventsFullLocked(size int) bool {
	q := &s.queue
	return q.eventBytes > 0 && q.eventBytes+size > s.opts.EventBytes ||
		q.bytes > s.opts.LimitBytes+s.opts.EventBytes || s.detachedFullLocked()
}

func (s *Session) dropLocked(topic string) {
	s.gaps.add(topic)
	if t := s.opts.Totals; t != nil {
		t.EventsDropped.Add(1)
	}
}

// appendGapLocked reports the events of a topic that were dropped, if there are any.
func (s *Session) appendGapLocked(topic string) {
	if n := s.gaps.take(topic); n > 0 {
		s.appendLocked(Control, Shared(wire.AppendGap(nil, topic, n)))
	}
}

// appendGapsLocked reports all gaps once most of the events before them have been written, so that a gap is reported even
// if no later event comes.
func (s *Session) appendGapsLocked() {
	for len(s.gaps.topics) > 0 && s.queue.eventBytes <= s.opts.EventBytes/2 {
		s.appendGapLocked(s.gaps.topics[0])
	}
}

// gaps counts the events that were dropped and not yet reported.
type gaps struct {
	dropped map[string]int // by topic
	topics  []string       // in the order of their first drop
}

func (g *gaps) add(topic string) {
	if g.dropped == nil {
		g.dropped = make(map[string]int)
	}
	if g.dropped[topic] == 0 {
		g.topics = append(g.topics, topic)
	}
	g.dropped[topic]++
}

// take returns how many events of the topic were dropped, and forgets them.
func (g *gaps) take(topic string) int {
	n := g.dropped[topic]
	switch {
	case n == 0:
	case len(g.topics) == 1:
		*g = gaps{}
	default:
		delete(g.dropped, topic)
		i := slices.Index(g.topics, topic)
		g.topics = slices.Delete(g.topics, i, i+1)
	}
	return n
}
