package peer

import (
	"math"
	"sync"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/session"
	"github.com/alkdev/hubspoke/internal/wire"
)

// Flow is the credit of an outgoing stream. Granted never exceeds consumed plus
// window, so that what waits here is bounded, nor ceiling, which is what the reader
// behind this hub has given. The zero value is no credit: take all.
type Flow struct {
	mu       *sync.Mutex // guards the fields below; nil where there is no credit
	window   int
	granted  int
	consumed int
	ceiling  int
}

// unlimited is the ceiling of a reader that takes what it gets.
const unlimited = math.MaxInt / 2

func newFlow(window, ceiling int) Flow {
	if window <= 0 {
		window = call.DefaultCredit
	}
	return Flow{mu: new(sync.Mutex), window: window, ceiling: ceiling, granted: min(window, ceiling)}
}

// Reader is the flow of a stream that is read here: n responses on their way, 0 for
// the default.
func Reader(n int) Flow { return newFlow(n, unlimited) }

// credit is what the request asks for at first; negative takes all.
func (f *Flow) credit() int {
	if !f.metered() {
		return -1
	}
	return f.granted
}

func (f *Flow) metered() bool { return f.mu != nil }

// dueLocked is how much credit to give now. Small amounts are held back while
// the other side has enough left to go on.
func (f *Flow) dueLocked() int {
	g := min(f.ceiling, f.consumed+f.window) - f.granted
	if g <= 0 || g*2 < f.window && f.granted+g < f.ceiling {
		return 0
	}
	return g
}

// topUp notes that n more were consumed and gives the handler the credit that is due.
func (o *Outgoing) topUp(n int) {
	o.flow.mu.Lock()
	o.flow.consumed += n
	g := o.flow.dueLocked()
	o.flow.granted += g
	o.flow.mu.Unlock()
	if g == 0 {
		return
	}
	if !o.wait.Grant(g) {
		return
	}
	b := session.NewBuffer()
	b.B = wire.AppendCredited(b.B, o.wait.ID(), g)
	_ = o.peer.sess.Post(b) // fails only when the session has ended
}

// raise lets the reader behind this hub take n more.
func (o *Outgoing) raise(n int) {
	o.flow.mu.Lock()
	o.flow.ceiling = min(o.flow.ceiling+n, unlimited)
	o.flow.mu.Unlock()
	o.topUp(0)
}
