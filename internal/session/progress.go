package session

// mark is the state of the counts when a connection was attached.
type mark struct {
	received uint64
	acked    uint64
	again    bool // frames had been sent before and not acknowledged
}

func (s *Session) markLocked() mark {
	return mark{s.ReceivedCount(), s.queue.acked, s.queue.numbered > s.queue.acked}
}

// Progressed reports whether the session has advanced on the connection that was attached last: a counted frame or the
// acknowledgement of one has arrived, and if frames had to be sent again, the first of them has been acknowledged. A frame
// that breaks every connection it is sent on thus makes no progress, whatever else arrives.
func (s *Session) Progressed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queue.acked > s.attached.acked {
		return true
	}
	return !s.attached.again && s.ReceivedCount() > s.attached.received
}
