package hub

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/peer"
	"github.com/alkdev/hubspoke/transport"
)

// randomPrefix tells the request ids of hubs apart in logs.
func randomPrefix() string { return uuid.NewString()[:8] + "-" }

// ErrDraining is wrapped by the errors of calls that this hub refuses or ends because it drains. It does not
// travel: a spoke's error of such a call, and the hub's of one that a draining spoke ends, is UNAVAILABLE without it.
var ErrDraining = peer.ErrDraining

func draining() *call.Error { return peer.Draining("the hub") }

// Shutdown drains the hub. It refuses new connections and new calls, announces to every spoke when to
// reconnect, waits for the calls in flight, and closes the connections with 1012. Streams are ended after
// [Options.StreamGrace]. A hub that is alone keeps its connections until nothing is in flight on any of
// them, since a spoke that leaves earlier has nowhere to go; where there are other hubs, a spoke leaves
// as soon as nothing is in flight on its own connection.
//
// When ctx ends first, Shutdown ends the calls and connections that are left and returns the context's
// error. When it returns nil no goroutine of the hub is left. It may be called from a handler, whose own
// call then holds it up until ctx ends.
func (h *Hub) Shutdown(ctx context.Context) error {
	h.startDrain()
	if h.opts.StreamGrace >= 0 {
		defer time.AfterFunc(h.opts.StreamGrace, h.endStreams).Stop()
	}
	last := h.lastOut(ctx)
	conns := h.table.everyone()
	var wg sync.WaitGroup
	for _, c := range conns {
		wg.Go(func() { c.drain(ctx, last) })
	}
	wg.Wait()
	<-last
	h.quiet(ctx)
	h.shut() // no session is left that a connection could offer
	h.links.idle(ctx)
	over := ctx.Err() != nil // then something may have been cut off, whatever is gone by now
	gone := make(chan struct{})
	go func() { // ends with the last connection; with ctx over, soon after the cut below
		h.entered.Wait()
		_ = h.local.Idle(context.Background()) // cannot fail
		h.fanout.Wait()
		h.links.close()
		h.leaveBackplane()
		h.stopBeat()
		h.beat.Wait()
		h.publisher.queue.Close()
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
}

// lastOut returns a channel that is closed when connections without calls may be closed.
func (h *Hub) lastOut(ctx context.Context) <-chan struct{} {
	last := make(chan struct{})
	if hubs, _ := h.others(ctx); len(hubs) > 0 {
		close(last)
		return last
	}
	go func() { // ends with ctx at the latest; Shutdown waits for it
		defer close(last)
		h.quiet(ctx)
	}()
	return last
}

// quiet waits until nothing is in flight at the hub, or ctx ends.
func (h *Hub) quiet(ctx context.Context) {
	for h.busy() && ctx.Err() == nil {
		for _, c := range h.table.everyone() {
			_ = c.peer.Quiet(ctx) // the loop looks again
		}
		for _, l := range h.links.everyone() {
			_ = l.peer.Quiet(ctx)
		}
		_ = h.local.Idle(ctx)
	}
}

func (h *Hub) busy() bool {
	return h.local.Busy() ||
		slices.ContainsFunc(h.table.everyone(), func(c *conn) bool { return c.peer.Busy() }) ||
		slices.ContainsFunc(h.links.everyone(), func(l *link) bool { return l.peer.Busy() })
}

// endStreams ends the streams that have had their time to end by themselves.
func (h *Hub) endStreams() {
	e := draining()
	h.log.Info().Msg("streams ended; the hub is draining")
	h.endReading(e)
	h.local.CancelStreams(e)
	for _, c := range h.table.everyone() {
		c.peer.CancelStreams(e)
	}
	for _, l := range h.links.everyone() {
		l.peer.CancelStreams(e)
	}
}

// untilStreamsEnd returns a context for a stream that the embedding program reads.
func (h *Hub) untilStreamsEnd(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(h.reading, func() { cancel(context.Cause(h.reading)) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// drain asks the spoke to go, waits until nothing is in flight, and closes.
func (c *conn) drain(ctx context.Context, last <-chan struct{}) {
	c.awaitAttached(ctx)
	c.sayDrain()
	if c.peer.Session().Attached() || c.peer.Busy() { // a detached spoke may resume and finish its calls
		_ = c.peer.Idle(ctx) // when ctx is over the rest is cut off
		<-last
		_ = c.peer.Idle(ctx)
	}
	c.drained.Store(true)
	if ctx.Err() != nil {
		c.peer.End(errCut) // before the close: calls that are left fail with this reason
	}
	c.dismiss(transport.CloseServiceRestart, "the hub goes away")
}

// awaitAttached waits while the registration is being answered: what is sent before its connection is attached is dropped.
func (c *conn) awaitAttached(ctx context.Context) {
	for {
		change := c.hub.table.wait()
		if c.attached.Load() {
			return
		}
		select {
		case <-change:
		case <-c.peer.Done():
			return
		case <-ctx.Done():
			return
		}
	}
}

// drainResumed does for a connection that resumes the session what drain does for the others: the spoke has to receive
// __drain on each, and before the close.
func (c *conn) drainResumed() {
	if !c.hub.draining.Load() {
		return
	}
	c.sayDrain()
	if !c.drained.Load() {
		return
	}
	ctx, cancel := context.WithTimeout(c.hub.ctx, c.hub.opts.HandshakeTimeout)
	defer cancel()
	_ = c.peer.Session().Flush(ctx) // the close follows in any case
	c.dismiss(transport.CloseServiceRestart, "the hub goes away")
}

// sayDrain sends __drain, with a time of its own for each spoke.
func (c *conn) sayDrain() {
	ms := rand.Int64N(c.hub.opts.DrainSpread.Milliseconds() + 1)
	_ = c.peer.PostDrain(ms) // fails only when the session has ended
}

func (h *Hub) leaveBackplane() {
	ctx, cancel := context.WithTimeout(context.Background(), directoryTimeout)
	defer cancel()
	h.leaveDirectory(ctx)
}

// errCut is why calls end for which Shutdown had no time.
var errCut = errors.New("the hub shut down before the call ended")

// cut ends everything that is left.
func (h *Hub) cut() {
	h.cancel()
	h.stopBeat()
	h.local.CancelAll(draining())
	for _, c := range h.table.everyone() {
		c.peer.End(errCut)
		c.dismiss(transport.CloseServiceRestart, "the hub goes away")
	}
}
