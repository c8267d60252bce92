package peer

import (
	"context"
	"math"
	"sync"

	"github.com/alkdev/hubspoke/call"
)

// unlimited is the ceiling of a caller that accepts every response.
const unlimited = math.MaxInt / 2

// grants is the credit of a stream as the caller's side keeps it: how many responses the handler may send. What is
// granted never exceeds what was consumed plus window, so that what waits here is bounded, nor ceiling, which is what
// the caller of a forwarded stream has granted. The zero value grants no credit: the handler sends what it wants.
type grants struct {
	mu       sync.Mutex // guards the fields below
	window   int        // 0: no credit
	ceiling  int
	granted  int
	consumed int
}

// init grants window responses, 0 for the default, and at most ceiling.
func (g *grants) init(window, ceiling int) {
	if window <= 0 {
		window = call.DefaultCredit
	}
	g.window, g.ceiling, g.granted = window, ceiling, min(window, ceiling)
}

// initial returns what the request grants; negative is no credit.
func (g *grants) initial() int {
	if g.window == 0 {
		return -1
	}
	return g.granted
}

// add notes that the caller has consumed responses and that its ceiling is higher, and returns how many more the handler
// may send. Small amounts are held back while the handler has enough left to continue.
func (g *grants) add(consumed, ceiling int) (more int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.consumed += consumed
	g.ceiling = min(g.ceiling+ceiling, unlimited)
	more = min(g.ceiling, g.consumed+g.window) - g.granted
	if more <= 0 || more*2 < g.window && g.granted+more < g.ceiling {
		return 0
	}
	g.granted += more
	return more
}

// allowance is the credit of a stream as the handler's side keeps it: how many more responses it may send. The peer's mu
// guards it. The zero value is of a stream without credit.
type allowance struct {
	metered bool
	left    int
	wake    chan struct{} // nil while no handler has waited
}

// takeCredit takes credit for one response and waits for it; its error is the cause of the end of the request's context.
func (in *Incoming) takeCredit() error {
	mu, a := &in.peer.mu, &in.credit
	for {
		mu.Lock()
		if !a.metered || a.left > 0 {
			a.left--
			mu.Unlock()
			return nil
		}
		if a.wake == nil {
			a.wake = make(chan struct{}, 1)
		}
		wake := a.wake
		mu.Unlock()
		select {
		case <-wake:
		case <-in.ctx.Done():
			return context.Cause(&in.ctx)
		}
	}
}

// addCredit allows n more responses, here or where the request was forwarded to.
func (in *Incoming) addCredit(n int) {
	in.peer.mu.Lock()
	in.credit.left += n
	out := in.out
	select {
	case in.credit.wake <- struct{}{}:
	default: // nil, or full
	}
	in.peer.mu.Unlock()
	if out != nil {
		out.grant(0, n)
	}
}

// passCredit makes o, as which the stream is forwarded, receive the caller's credit from now on, and what has arrived since
// o was made.
func (in *Incoming) passCredit(o *Outgoing) {
	in.peer.mu.Lock()
	more := 0
	if in.credit.metered {
		more = in.credit.left - o.credit.ceiling // which nothing else changes yet
	}
	in.out = o
	in.peer.mu.Unlock()
	if more > 0 {
		o.grant(0, more)
	}
}
