package hub

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/jsonscan"
	"github.com/alkdev/hubspoke/transport"
)

// What hubs ask each other besides calls. The answers speak of one hub alone.
const (
	linkSpokes     = "hub.spokes"
	linkOperations = "hub.operations"
	linkDisconnect = "hub.disconnect"
)

// everywhereTimeout bounds the wait for the other hubs where the caller gives no time.
const everywhereTimeout = 5 * time.Second

// registerLinkOperations puts what other hubs may ask into its registry.
func (h *Hub) registerLinkOperations() {
	r := &h.linkOperations
	must(call.Handle(r, linkSpokes, func(ctx context.Context, _ json.RawMessage) ([]SpokeInfo, error) {
		return h.Spokes(call.IdentityFrom(ctx)), nil
	}))
	must(call.Handle(r, linkOperations, func(ctx context.Context, _ json.RawMessage) ([]OperationInfo, error) {
		return h.spokeOperations(call.IdentityFrom(ctx)), nil
	}))
	must(call.Handle(r, linkDisconnect, func(_ context.Context, in Presence) (bool, error) {
		return h.disconnectHere(in.SpokeID, in.Reason), nil
	}))
	must(call.HandleStream(r, call.OperationGather, h.gatherHere))
}

func must(err error) {
	if err != nil {
		panic("hub: its own operations do not register: " + err.Error()) // cannot happen: they are fixed
	}
}

// others gives the ids of the other hubs.
func (h *Hub) others(ctx context.Context) ([]string, error) {
	if h.alone() {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, directoryTimeout)
	defer cancel()
	hubs, err := h.directory.Hubs(ctx)
	return slices.DeleteFunc(hubs, func(id string) bool { return id == h.opts.ID }), err
}

// askOthers asks every other hub at once and hands each answer to take, one at a
// time. A hub that does not answer is left out and logged.
func (h *Hub) askOthers(ctx context.Context, req *call.Request, take func(json.RawMessage) error) {
	hubs, err := h.others(ctx)
	if err != nil {
		h.log.Warn().Err(err).Msg("the directory does not say which hubs there are")
	}
	ctx, cancel := context.WithTimeout(ctx, everywhereTimeout)
	defer cancel()
	var wg sync.WaitGroup
	var mu sync.Mutex // held while take runs
	for _, id := range hubs {
		wg.Go(func() {
			data, err := h.askHub(ctx, id, req)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				err = take(data)
			}
			if err != nil {
				h.log.Warn().Err(err).Str("link", id).Str("operation", req.Operation).Msg("another hub was left out")
			}
		})
	}
	wg.Wait()
}

func (h *Hub) askHub(ctx context.Context, hubID string, req *call.Request) (json.RawMessage, error) {
	l, err := h.links.to(ctx, hubID)
	if err != nil {
		return nil, err
	}
	output, err := l.peer.Call(ctx, req)
	if err != nil {
		return nil, err
	}
	return call.ParseEnvelope(output).Data, nil
}

// AllSpokes lists the spokes of all hubs, sorted by id, as far as the identity may
// see them; nil sees all. A hub that does not answer within ctx, at most 5 s, is left out.
func (h *Hub) AllSpokes(ctx context.Context, id *call.Identity) []SpokeInfo {
	out := h.Spokes(id)
	h.askOthers(ctx, &call.Request{Operation: linkSpokes, Identity: id}, func(data json.RawMessage) error {
		var more []SpokeInfo
		err := json.Unmarshal(data, &more)
		out = append(out, more...)
		return err
	})
	slices.SortFunc(out, func(a, b SpokeInfo) int {
		return cmp.Or(cmp.Compare(a.SpokeID, b.SpokeID), cmp.Compare(b.Generation, a.Generation))
	})
	// Two hubs may both name a spoke that has just moved: the newer registration counts.
	return slices.CompactFunc(out, func(a, b SpokeInfo) bool { return a.SpokeID == b.SpokeID })
}

// AllOperations lists what can be called on all hubs, this hub's own operations
// included; see [Hub.AllSpokes].
func (h *Hub) AllOperations(ctx context.Context, id *call.Identity) []OperationInfo {
	out := h.ListOperations(id)
	h.askOthers(ctx, &call.Request{Operation: linkOperations, Identity: id}, func(data json.RawMessage) error {
		var more []OperationInfo
		err := json.Unmarshal(data, &more)
		out = append(out, more...)
		return err
	})
	return mergeOperations(out)
}

// Disconnect closes a spoke's connection, on whichever hub it is, with 4503: it
// will not come back by itself. It reports whether the spoke was connected. The
// error says that the hub that has it, or the directory, could not be asked.
func (h *Hub) Disconnect(ctx context.Context, spokeID, reason string) (bool, error) {
	if h.disconnectHere(spokeID, reason) {
		return true, nil
	}
	if h.alone() {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, everywhereTimeout)
	defer cancel()
	rec, ok, err := h.directory.Spoke(ctx, spokeID)
	if err != nil || !ok || rec.HubID == h.opts.ID {
		return false, err
	}
	in, err := json.Marshal(Presence{SpokeID: spokeID, Reason: reason})
	if err != nil {
		return false, err
	}
	data, err := h.askHub(ctx, rec.HubID, &call.Request{Operation: linkDisconnect, Input: in})
	if err != nil {
		return false, fmt.Errorf("hub %s: %w", rec.HubID, err)
	}
	done, _ := jsonscan.Bool(data)
	return done, nil
}

func (h *Hub) disconnectHere(spokeID, reason string) bool {
	c, ok := h.table.spoke(spokeID)
	if ok {
		c.peer.End(errKicked) // nothing is routed to it while it takes its time to answer the close
		c.dismiss(transport.CloseKicked, reason)
	}
	return ok
}
