package hub

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync"

	"github.com/google/uuid"

	"github.com/alkdev/hubspoke/internal/peer"
	"github.com/alkdev/hubspoke/transport"
)

// randomPrefix tells the request ids of hubs apart in logs.
func randomPrefix() string { return uuid.NewString()[:8] + "-" }

// Shutdown drains the hub: new connections and new calls are refused, every
// spoke is told to come back elsewhere at a time of its own, calls in flight end, and
// the connections are closed with 1012. When ctx ends first, what is left is cut off and
// Shutdown returns the context's error. When it returns nil no goroutine of the hub is left. It
// may be called from a handler, whose own call then holds it up until ctx ends.
func (h *Hub) Shutdown(ctx context.Context) error {
	h.startDrain()
	conns := h.table.everyone()
	var wg sync.WaitGroup
	for _, c := range conns {
		wg.Go(func() { c.drain(ctx) })
	}
	wg.Wait()
	h.links.idle(ctx)
	over := ctx.Err() != nil // then something may have been cut off, whatever is gone by now
	gone := make(chan struct{})
	go func() { // ends with the last connection; with ctx over, soon after the cut below
		h.entered.Wait()
		h.flushers.wg.Wait()
		h.links.close()
		h.leaveBackplane()
		h.stopBeat()
		h.beat.Wait()
		h.publisher.wait()
		close(gone)
	}()
	if !over {
		select {
		case <-gone:
			h.cancel()
			return nil
		case <-ctx.Done():
		}
	}
	h.cut()
	return context.Cause(ctx)
}

// Close ends the hub at once: connections are closed with 1012, calls in flight
// fail with DISCONNECTED. It does not wait for handlers.
func (h *Hub) Close() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = h.Shutdown(ctx) // says only that ctx is over
}

func (h *Hub) startDrain() {
	h.mu.Lock()
	if !h.draining.Swap(true) {
		close(h.drained)
	}
	h.mu.Unlock()
	h.table.close()
	h.shut()
}

// drain asks the spoke to go, waits until nothing is in flight, and closes.
func (c *conn) drain(ctx context.Context) {
	c.draining.Store(true)
	ms := rand.Int64N(c.hub.opts.DrainSpread.Milliseconds() + 1)
	_ = c.peer.Post(peer.TypeDrain, append(strconv.AppendInt([]byte(`{"retryAfter":`), ms, 10), '}'))
	if c.peer.Session().Attached() { // one that waits could not come back
		_ = c.peer.Idle(ctx) // when ctx is over the rest is cut off
	}
	c.dismiss(transport.CloseServiceRestart, "the hub goes away")
}

func (h *Hub) leaveBackplane() {
	ctx, cancel := context.WithTimeout(context.Background(), directoryTimeout)
	defer cancel()
	h.leaveDirectory(ctx)
}

// cut ends everything that is left.
func (h *Hub) cut() {
	h.cancel()
	h.stopBeat()
	for _, c := range h.table.everyone() {
		c.peer.End(context.Canceled)
		c.dismiss(transport.CloseServiceRestart, "the hub goes away")
	}
}
