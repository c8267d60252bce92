package hub

import "github.com/alkdev/hubspoke/transport"

var _ transport.Waiter = (*guarded)(nil)

// BeforeWait implements [transport.Waiter].
func (g *guarded) BeforeWait(fn func()) bool {
	w, ok := g.Conn.(transport.Waiter)
	return ok && w.BeforeWait(fn)
}
