package redisbackplane

import (
	"context"
	"time"
)

// spell is a context with a time limit for one call after the other: each has at least the limit and at most
// a quarter more, since to make a context for each costs more than the rest of a call.
type spell struct {
	current context.Context
	until   time.Time // for calls that begin before
	cancel  context.CancelFunc
}

func (s *spell) context(parent context.Context, limit time.Duration) context.Context {
	now := time.Now()
	if s.current == nil || !now.Before(s.until) {
		s.end()
		s.until = now.Add(limit / 4)
		s.current, s.cancel = context.WithDeadline(parent, s.until.Add(limit))
	}
	return s.current
}

// end gives the timer back.
func (s *spell) end() {
	if s.cancel != nil {
		s.cancel()
	}
}
