package hub

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/jsonscan"
	"github.com/alkdev/hubspoke/internal/peer"
)

// OperationInfo describes an operation that can be called.
type OperationInfo struct {
	call.Operation
	// Spokes is how many spokes serve it; 0 for one of the hub's own.
	Spokes int `json:"spokes"`
	// Variants are the descriptions of spokes that serve the operation with another type or other schemas, at most
	// eight: a mistake, since the caller cannot know which spoke answers.
	Variants []call.Operation `json:"variants,omitempty"`
	// Truncated reports that the item was too large for a page of a list and has only its name and type.
	Truncated bool `json:"truncated,omitempty"`
}

// operationList is hub.operations.
var operationList = listKind{
	operation: linkOperations, key: "name",
	always:  []string{"name", "spokes"},
	short:   []string{"name", "type", "spokes"},
	members: []string{"name", "type", "description", "inputSchema", "outputSchema", "errorCodes", "accessControl", "variants", "spokes"},
	here:    operationsHere, merge: addUpOperations,
}

func operationsHere(ctx context.Context, k *listKind, h *Hub, id *call.Identity, q *ListQuery, own bool, b *pageBuilder) error {
	names := h.table.operationNames()
	var mine map[string]call.Operation
	if own && len(q.Selector) == 0 {
		names, mine = h.withOwn(names)
	}
	sees := h.sight(id, q)
	for _, name := range within(names, q) {
		if ctx.Err() != nil {
			return peer.ContextError(ctx, false)
		}
		info, ok := h.operationInfo(id, name, mine, sees)
		if !ok {
			continue
		}
		if more, err := k.put(b, name, info, q); err != nil || !more {
			return err
		}
	}
	return nil
}

// withOwn returns the names of what spokes serve and of the hub's own operations, sorted, and the latter by name.
func (h *Hub) withOwn(served []string) (names []string, own map[string]call.Operation) {
	names, own = slices.Clone(served), make(map[string]call.Operation)
	for _, op := range h.operations.Operations() {
		own[op.Name] = op
		names = append(names, op.Name)
	}
	slices.Sort(names)
	return slices.Compact(names), own
}

// within returns those of the sorted names that the query selects.
func within(names []string, q *ListQuery) []string {
	i, found := slices.BinarySearch(names, max(q.After, q.Prefix))
	if found && q.After >= q.Prefix && q.After != "" {
		i++
	}
	names = names[i:]
	end := 0
	for end < len(names) && strings.HasPrefix(names[end], q.Prefix) {
		end++
	}
	names = names[:end]
	if q.Operation != "" {
		i, found := slices.BinarySearch(names, q.Operation)
		if !found {
			return nil
		}
		return names[i : i+1]
	}
	return names
}

// sight returns whether the identity may see a spoke with the labels that the query asks for. A spoke is
// checked once, since it may serve many operations.
func (h *Hub) sight(id *call.Identity, q *ListQuery) func(*conn) bool {
	if (id == nil || h.opts.Authorize == nil) && len(q.Selector) == 0 {
		return func(*conn) bool { return true }
	}
	known := make(map[*conn]bool)
	return func(c *conn) bool {
		may, ok := known[c]
		if !ok {
			may = h.listed(id, &ListQuery{Selector: q.Selector}, c)
			known[c] = may
		}
		return may
	}
}

// operationInfo describes an operation; it returns false if the identity sees no spoke that serves it, or
// may not call it.
func (h *Hub) operationInfo(id *call.Identity, name string, mine map[string]call.Operation, sees func(*conn) bool) (OperationInfo, bool) {
	var info OperationInfo
	if h.allow(id, Call, name) != nil {
		return info, false
	}
	op, found := mine[name]
	if found = found && (id == nil || op.Access.Allows(id)); found {
		info.Operation = op
	}
	_, own := mine[name]
	vary := own || h.table.hasVariants(name)
	for _, c := range h.table.serving(name) {
		op, ok := h.table.profileOf(c).operations[name]
		if !ok || !sees(c) || id != nil && !op.Access.Allows(id) {
			continue
		}
		if !found {
			info.Operation, found = op, true
		} else if vary {
			info.addVariant(op)
		}
		info.Spokes++
	}
	return info, found
}

// addUpOperations makes one item of those of one name, with the number of spokes in all.
func addUpOperations(items []listItem) []listItem {
	out := items[:0]
	for _, it := range items {
		n := len(out) - 1
		if n < 0 || out[n].key != it.key {
			out = append(out, it)
			continue
		}
		out[n].n += it.n
		out[n].raw = withSpokes(mergeVariants(out[n].raw, it.raw), out[n].n)
	}
	return out
}

// withSpokes replaces the number of spokes.
func withSpokes(raw json.RawMessage, n int64) json.RawMessage {
	out := []byte{'{'}
	for name, value := range jsonscan.Members(raw) {
		if string(name) == "spokes" {
			continue
		}
		out = append(jsonscan.AppendString(out, string(name)), ':')
		out = append(append(out, value...), ',')
	}
	return append(strconv.AppendInt(append(out, `"spokes":`...), n, 10), '}')
}

// AllOperations lists what the identity may call on all hubs, this hub's own operations included, sorted by name; see
// [Hub.AllSpokes].
func (h *Hub) AllOperations(ctx context.Context, id *call.Identity) ([]OperationInfo, error) {
	return everything[OperationInfo](ctx, h, &operationList, id, &ListQuery{})
}

// ListOperations lists what the identity may call on this hub, its own operations included, sorted by name; a nil
// identity sees all.
func (h *Hub) ListOperations(id *call.Identity) []OperationInfo {
	list := []OperationInfo{}
	names, own := h.withOwn(h.table.operationNames())
	sees := h.sight(id, &ListQuery{})
	for _, name := range names {
		if info, ok := h.operationInfo(id, name, own, sees); ok {
			list = append(list, info)
		}
	}
	return list
}
