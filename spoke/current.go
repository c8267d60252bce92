package spoke

import "context"

// current gives the session that is registered, or nil.
func (s *Spoke) current() *link {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.link
}

// await waits for a session. Its error wraps the context's cause or [ErrStopped], and why there is no
// session.
func (s *Spoke) await(ctx context.Context) (*link, error) {
	for {
		s.mu.Lock()
		l, changed, stopping := s.link, s.changed, s.stopping
		s.mu.Unlock()
		switch {
		case l != nil:
			return l, nil
		case stopping:
			return nil, s.errStopped()
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, s.unregistered(context.Cause(ctx))
		}
	}
}

// setLink makes l the session of the moment; it is false when the spoke is to stop.
func (s *Spoke) setLink(l *link) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setLinkLocked(l)
	return !s.stopping
}

// unlink forgets a session, if it is the one of the moment.
func (s *Spoke) unlink(l *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link == l {
		s.setLinkLocked(nil)
	}
}

func (s *Spoke) setLinkLocked(l *link) {
	s.link = l
	if l != nil {
		s.id = l.spokeID
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Spoke) isStopping() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopping
}
