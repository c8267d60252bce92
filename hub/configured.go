package hub

import "slices"

// Options gives a copy of the options in force, with every default filled in, so that what stands
// beside the hub, such as the gateway, lets the same requests in and takes messages of the same size.
func (h *Hub) Options() Options {
	o := h.opts
	o.Origins = slices.Clone(o.Origins)
	o.Interceptors = slices.Clone(o.Interceptors)
	return o
}

// Draining reports whether Shutdown or Close has begun.
func (h *Hub) Draining() bool { return h.draining.Load() }
