package hub

import (
	"context"
	"slices"
)

// Options gives a copy of the options in force, with every default filled in, so that what stands
// beside the hub, such as the gateway, lets the same requests in and takes messages of the same size.
func (h *Hub) Options() Options {
	o := h.opts
	o.Origins = slices.Clone(o.Origins)
	o.Interceptors = slices.Clone(o.Interceptors)
	return o
}

// Open returns a context that ends when Close begins, or when Shutdown has waited for the calls in flight. What lives beside
// the hub, such as a stream of events, ends with it.
func (h *Hub) Open() context.Context { return h.open }

// Health says how the hub is, for a load balancer (protocol section 9): draining,
// which should take it out; or ok, or degraded with the backplane, which must not, since all hubs would
// be taken out at once.
func (h *Hub) Health() Health {
	if h.draining.Load() {
		return Health{Status: StatusDraining}
	}
	if b := h.opts.Backplane; b != nil && b.Health != nil {
		return b.Health()
	}
	return Health{Status: StatusOK}
}

// Draining reports whether Shutdown or Close has begun.
func (h *Hub) Draining() bool { return h.draining.Load() }
