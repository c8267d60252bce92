package gateway

import (
	"fmt"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/quota"
)

// places bounds what one identity has under way at the same time.
type places struct {
	limit  int // negative: none
	option string
	taken  quota.Counts
}

// enter takes a place until leave, or returns the error for the client if all are taken.
func (p *places) enter(identity string) *call.Error {
	if !p.taken.Acquire(identity, p.limit) {
		return &call.Error{Code: call.CodeOverloaded, Retryable: true,
			Message: fmt.Sprintf("too many at the same time: limit %d (%s)", p.limit, p.option)}
	}
	return nil
}

func (p *places) leave(identity string) { p.taken.Release(identity) }
