package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/jsonscan"
	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/transport"
)

// What hubs ask each other besides calls. The answers speak of one hub alone.
const (
	linkSpokes     = "hub.spokes"
	linkOperations = "hub.operations"
	linkDisconnect = "hub.disconnect"
	linkReauth     = "hub.reauthenticate"
)

// everywhereTimeout bounds the wait for the other hubs where the caller gives no time.
const everywhereTimeout = 5 * time.Second

// registerLinkOperations puts what other hubs may ask into its registry.
func (h *Hub) registerLinkOperations() {
	r := &h.linkOperations
	must(call.Handle(r, call.Operation{Name: linkDisconnect}, func(_ context.Context, in Presence) (bool, error) {
		return h.disconnectHere(in.SpokeID, in.Reason), nil
	}))
	must(call.Handle(r, call.Operation{Name: linkReauth}, func(_ context.Context, in Presence) (bool, error) {
		return h.reauthenticateHere(in.SpokeID), nil
	}))
	must(call.HandleStream(r, call.Operation{Name: wire.OperationGather}, h.gatherHere))
}

func must(err error) {
	if err != nil {
		panic("hub: its own operations do not register: " + err.Error()) // cannot happen: they are fixed
	}
}

// others returns the ids of the other hubs, or that the directory did not name them.
func (h *Hub) others(ctx context.Context) ([]string, []Incomplete) {
	ctx, cancel := context.WithTimeout(ctx, min(directoryTimeout, max(answerTime(ctx), 0)))
	defer cancel()
	hubs, err := h.directory.Hubs(ctx)
	hubs = slices.DeleteFunc(hubs, func(id string) bool { return id == h.opts.ID })
	if err != nil {
		h.log.Warn().Err(err).Msg("cannot list the hubs in the directory")
		return hubs, []Incomplete{{Code: call.CodeUnavailable}}
	}
	return hubs, nil
}

// hubsAtOnce bounds the hubs that one question waits for at the same time.
const hubsAtOnce = 8

// askOthers asks other hubs and hands each answer to take, one at a time. It returns the hubs that did not answer.
func (h *Hub) askOthers(ctx context.Context, hubs []string, req *call.Request, take func(json.RawMessage) error) (missing []Incomplete) {
	ctx, cancel := context.WithTimeout(ctx, max(answerTime(ctx), 0))
	defer cancel()
	var asked errgroup.Group
	asked.SetLimit(hubsAtOnce)
	var mu sync.Mutex // held while take runs
	for _, id := range hubs {
		asked.Go(func() error {
			data, err := h.askHub(ctx, id, req)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				err = take(data)
			}
			if err != nil {
				missing = append(missing, Incomplete{id, incompleteCode(err)})
				h.log.Warn().Err(err).Str("link", id).Str("operation", req.Operation).Msg("another hub did not answer")
			}
			return nil
		})
	}
	_ = asked.Wait() // what failed is in missing
	slices.SortFunc(missing, func(a, b Incomplete) int { return strings.Compare(a.HubID, b.HubID) })
	return missing
}

// incompleteCode is why a hub did not answer.
func incompleteCode(err error) call.Code {
	e, ok := errors.AsType[*call.Error](err)
	switch {
	case ok:
		return e.Code
	case errors.Is(err, context.DeadlineExceeded):
		return call.CodeTimeout
	}
	return call.CodeUnavailable
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
	data, _ := wire.ParseEnvelope(output)
	return data, nil
}

// Disconnect closes a spoke's connection, on whichever hub it is, with 4503: it
// will not come back by itself. It reports whether the spoke was connected. The
// error says that the hub that has it, or the directory, could not be asked.
func (h *Hub) Disconnect(ctx context.Context, spokeID, reason string) (bool, error) {
	if h.disconnectHere(spokeID, reason) {
		return true, nil
	}
	return h.askHubOf(ctx, linkDisconnect, Presence{SpokeID: spokeID, Reason: reason})
}

// Reauthenticate closes a spoke's connection, on any hub, with 4005, so that the spoke has to
// authenticate again to resume its session. A detached spoke has to do so in any case. Reauthenticate
// reports whether the spoke was connected or detached. The error is as for [Hub.Disconnect].
//
// To withdraw a token, remove it from the authenticator first. [TokenSet.Replace] does so and closes the
// connections itself.
func (h *Hub) Reauthenticate(ctx context.Context, spokeID string) (bool, error) {
	if h.reauthenticateHere(spokeID) {
		return true, nil
	}
	return h.askHubOf(ctx, linkReauth, Presence{SpokeID: spokeID})
}

func (h *Hub) reauthenticateHere(spokeID string) bool {
	c, ok := h.table.spoke(spokeID)
	if ok {
		c.resuming.enter() // a connection that is resuming the session is the one to be closed, once it has
		defer c.resuming.leave()
		c.Log().Info().Msg("asked to authenticate again")
		c.hangUp(transport.CloseCredentialsExpired, "authenticate again")
	}
	return ok
}

// askHubOf asks the other hub that has the spoke, if there is one, to do something with it. It reports
// whether it has done it.
func (h *Hub) askHubOf(ctx context.Context, operation string, about Presence) (bool, error) {
	if h.alone() {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, everywhereTimeout)
	defer cancel()
	rec, ok, err := h.directory.Spoke(ctx, about.SpokeID)
	if err != nil || !ok || rec.HubID == h.opts.ID {
		return false, err
	}
	in, err := json.Marshal(about)
	if err != nil {
		return false, err
	}
	data, err := h.askHub(ctx, rec.HubID, &call.Request{Operation: operation, Input: in})
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
