package hub

import (
	"cmp"
	"context"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/jsonscan"
)

// OperationType returns the type of an operation: of the hub's own, or as a spoke of this hub or of
// another registered it, the spoke that to names if it is not empty. It returns "" if nothing that is
// connected serves the operation, or the hub whose spoke does cannot be asked. It asks another hub only
// where no spoke of this one serves the operation.
func (h *Hub) OperationType(ctx context.Context, to, operation string) call.Type {
	if op, _, ok := h.operations.Lookup(operation); ok && to == "" {
		return op.Type
	}
	candidates := h.table.serving(operation)
	if c, ok := h.table.spoke(to); ok {
		candidates = []*conn{c}
	} else if to != "" {
		candidates = nil
	}
	for _, c := range candidates {
		if op, ok := h.table.profileOf(c).operations[operation]; ok {
			return cmp.Or(op.Type, call.Query)
		}
	}
	if h.alone() {
		return ""
	}
	return h.typeElsewhere(ctx, to, operation)
}

func (h *Hub) typeElsewhere(ctx context.Context, to, operation string) call.Type {
	ctx, cancel := context.WithTimeout(ctx, everywhereTimeout)
	defer cancel()
	hubs, e := h.hubsFor(ctx, &call.Request{To: to, Operation: operation})
	if e != nil {
		return ""
	}
	in := append(jsonscan.AppendString([]byte(`{"limit":1,"operation":`), operation), `,"fields":["type"],"room":65536}`...)
	for _, id := range hubs {
		data, err := h.askHub(ctx, id, &call.Request{Operation: linkOperations, Input: in})
		if err != nil {
			continue
		}
		p, err := parsePage(data)
		if err != nil || len(p.Items) == 0 {
			continue
		}
		var typ string
		if jsonscan.Decode(p.Items[0], jsonscan.StringField("type", &typ)) == nil {
			return call.Type(typ)
		}
	}
	return ""
}
