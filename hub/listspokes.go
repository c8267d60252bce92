package hub

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/peer"
)

// SpokeInfo describes a connected spoke.
type SpokeInfo struct {
	SpokeID      string            `json:"spokeId"`
	HubID        string            `json:"hubId"`
	ConnectionID string            `json:"connectionId"`
	Generation   int64             `json:"generation"`
	Name         string            `json:"name,omitempty"`
	Version      string            `json:"version,omitempty"`
	Labels       map[string]string `json:"labels,omitempty"`
	Operations   []string          `json:"operations"`
	IdentityID   string            `json:"identityId"`
	InFlight     int               `json:"inFlight"`
	ConnectedAt  time.Time         `json:"connectedAt"`
	State        SpokeState        `json:"state"`
	// DetachedAt is when the connection of a detached spoke was lost; zero otherwise.
	DetachedAt time.Time `json:"detachedAt,omitzero"`
	// Truncated reports that the item was too large for a page of a list and has only what names the spoke.
	Truncated bool `json:"truncated,omitempty"`
}

// SpokeState is the state of a spoke, which decides whether it receives calls.
type SpokeState string

// The states of a spoke.
const (
	SpokeConnected SpokeState = "connected"
	SpokeDetached  SpokeState = "detached" // its connection was lost, and the hub keeps its session
	SpokeDraining  SpokeState = "draining" // it finishes its calls and accepts no new ones
)

// spokeList is hub.spokes.
var spokeList = listKind{
	operation: linkSpokes, key: "spokeId",
	always:  []string{"spokeId", "hubId", "generation"},
	short:   []string{"spokeId", "hubId", "generation", "identityId", "state", "detachedAt"},
	members: []string{"spokeId", "hubId", "connectionId", "generation", "name", "version", "labels", "operations", "identityId", "inFlight", "connectedAt", "state", "detachedAt"},
	here:    spokesHere, merge: newestSpokes,
}

func spokesHere(ctx context.Context, k *listKind, h *Hub, id *call.Identity, q *ListQuery, _ bool, b *pageBuilder) error {
	operations := len(q.Fields) == 0 || slices.Contains(q.Fields, "operations")
	for from := q.After; ; {
		some := h.table.behind(from, q.Prefix)
		for _, c := range some {
			if !h.listed(id, q, c) {
				continue
			}
			if more, err := k.put(b, c.id, h.describe(c, operations), q); err != nil || !more {
				return err
			}
		}
		if len(some) == 0 {
			return nil
		}
		if ctx.Err() != nil {
			return peer.ContextError(ctx, false)
		}
		from = some[len(some)-1].id
	}
}

// listed reports whether the query selects the spoke, and the identity may see it.
func (h *Hub) listed(id *call.Identity, q *ListQuery, c *conn) bool {
	p := h.table.profileOf(c)
	if q.Operation != "" {
		if _, ok := p.operations[q.Operation]; !ok {
			return false
		}
	}
	return matches(p.labels, q.Selector) && h.allow(id, List, c.id) == nil
}

// newestSpokes drops all but the newest registration of each spoke: two hubs may both name one that has just moved.
func newestSpokes(items []listItem) []listItem {
	slices.SortStableFunc(items, func(a, b listItem) int {
		return cmp.Or(strings.Compare(a.key, b.key), cmp.Compare(b.n, a.n))
	})
	return slices.CompactFunc(items, func(a, b listItem) bool { return a.key == b.key })
}

// AllSpokes lists the spokes of all hubs that have the labels of the selector, sorted by id, as far as the identity
// may see them; a nil identity sees all, and a nil selector selects all. If a hub does not answer within ctx, at
// most 5 s, its spokes are missing, and the error is an [*IncompleteError]; what the other hubs have is returned
// all the same. Any other error is how ctx ended.
func (h *Hub) AllSpokes(ctx context.Context, id *call.Identity, selector map[string]string) ([]SpokeInfo, error) {
	return everything[SpokeInfo](ctx, h, &spokeList, id, &ListQuery{Selector: selector})
}

// Spokes lists the spokes of this hub, sorted by id, as far as the identity may
// see them; nil sees all. The slice is the caller's.
func (h *Hub) Spokes(id *call.Identity) []SpokeInfo {
	out := []SpokeInfo{}
	for _, c := range h.table.all() {
		if h.allow(id, List, c.id) != nil {
			continue
		}
		out = append(out, h.describe(c, true))
	}
	return out
}

// describe describes a spoke, with the operations that it serves or without.
func (h *Hub) describe(c *conn, operations bool) SpokeInfo {
	p, detached := h.table.view(c)
	ops := []string{}
	if operations {
		ops = slices.AppendSeq(ops, maps.Keys(p.operations))
		slices.Sort(ops)
	}
	n, _ := c.peer.InFlight()
	info := SpokeInfo{
		SpokeID: c.id, HubID: h.opts.ID, ConnectionID: c.connectionID(), Generation: h.table.generationOf(c),
		Name: p.name, Version: p.version, Labels: p.labels, Operations: ops, IdentityID: c.who().ID,
		InFlight: n, ConnectedAt: c.connectedAt, State: SpokeConnected,
	}
	switch {
	case detached:
		info.State, info.DetachedAt = SpokeDetached, h.table.detachedSince(c)
	case c.leaving.Load() || h.draining.Load():
		info.State = SpokeDraining
	}
	return info
}
