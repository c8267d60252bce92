package spoke

import "fmt"

// LastError returns why the last dial failed or the last connection ended, nil if none has. It keeps its
// value while the spoke is registered again. After Run has returned it is Run's error.
func (s *Spoke) LastError() error {
	if ended := s.ended.Load(); ended != nil {
		return *ended
	}
	if last := s.last.Load(); last != nil {
		return *last
	}
	return nil
}

// unregistered returns the error of an operation that waited for a registration that did not happen: cause, and
// why there was none, as far as that is known.
func (s *Spoke) unregistered(cause error) error {
	if last := s.LastError(); last != nil {
		return fmt.Errorf("%w; the spoke is not registered: %w", cause, last)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running {
		return fmt.Errorf("%w; the spoke is not registered: Run has not been called", cause)
	}
	return fmt.Errorf("%w; the spoke is not registered yet", cause)
}

// errStopped returns [ErrStopped], with the error of Run if it has returned one.
func (s *Spoke) errStopped() error {
	if ended := s.ended.Load(); ended != nil && *ended != nil {
		return fmt.Errorf("%w: %w", ErrStopped, *ended)
	}
	return ErrStopped
}
