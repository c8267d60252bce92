package gateway

import (
	"fmt"
	"sync"

	"github.com/alkdev/hubspoke/call"
)

// places bounds what one identity has under way at the same time.
type places struct {
	limit  int // negative: none
	option string

	mu    sync.Mutex
	taken map[string]int // by identity; guarded by mu
}

// enter takes a place until leave, or returns the error for the client if all are taken.
func (p *places) enter(identity string) *call.Error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.limit >= 0 && p.taken[identity] >= p.limit {
		return &call.Error{Code: call.CodeOverloaded, Retryable: true,
			Message: fmt.Sprintf("too many at the same time: limit %d (%s)", p.limit, p.option)}
	}
	if p.taken == nil {
		p.taken = make(map[string]int)
	}
	p.taken[identity]++
	return nil
}

func (p *places) leave(identity string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken[identity]--; p.taken[identity] == 0 {
		delete(p.taken, identity)
	}
}
