package hub

import (
	"bytes"
	"cmp"
	"encoding/json"
	"reflect"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/jsonscan"
)

// warnOfVariants logs, once for each operation, that c describes it in another way than the spokes that
// served it before. A caller cannot know which of them will answer.
func (h *Hub) warnOfVariants(c *conn) {
	p := h.table.profileOf(c)
	for name, op := range p.operations {
		other, ok := h.table.variant(c, p, name)
		if !ok {
			continue
		}
		otherOp := h.table.profileOf(other).operations[name]
		if differ := difference(&op, &otherOp); differ != "" && h.table.markVariants(name) {
			c.Log().Warn().Str("operation", name).Str("differs", differ).Str("other", other.id).
				Msg("spokes describe one operation differently")
		}
	}
}

// difference names the first member of two descriptions of an operation that callers depend on and that differs.
func difference(a, b *call.Operation) string {
	switch {
	case cmp.Or(a.Type, call.Query) != cmp.Or(b.Type, call.Query):
		return "type"
	case !sameJSON(a.InputSchema, b.InputSchema):
		return "inputSchema"
	case !sameJSON(a.OutputSchema, b.OutputSchema):
		return "outputSchema"
	}
	return ""
}

// maxVariants bounds the variants in one item of a list.
const maxVariants = 8

// addVariant adds a description that differs from all that the item has.
func (o *OperationInfo) addVariant(op call.Operation) {
	if len(o.Variants) == maxVariants || difference(&o.Operation, &op) == "" {
		return
	}
	for i := range o.Variants {
		if difference(&o.Variants[i], &op) == "" {
			return
		}
	}
	o.Variants = append(o.Variants, op)
}

// mergeVariants adds to an item the descriptions of another hub's that differ from its own. Members that
// the query did not ask for are not there and cannot differ.
func mergeVariants(item, other json.RawMessage) json.RawMessage {
	var a, b OperationInfo
	if json.Unmarshal(item, &a) != nil || json.Unmarshal(other, &b) != nil || a.Truncated || b.Truncated {
		return item
	}
	n := len(a.Variants)
	for _, op := range append([]call.Operation{b.Operation}, b.Variants...) {
		a.addVariant(op)
	}
	if len(a.Variants) == n {
		return item
	}
	list, err := json.Marshal(a.Variants)
	if err != nil {
		return item
	}
	out := []byte{'{'}
	for name, value := range jsonscan.Members(item) {
		if string(name) != "variants" {
			out = append(jsonscan.AppendString(out, string(name)), ':')
			out = append(append(out, value...), ',')
		}
	}
	return append(append(append(out, `"variants":`...), list...), '}')
}

// hasVariants reports whether spokes gave different descriptions of the operation.
func (t *table) hasVariants(operation string) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	_, ok := t.variants[operation]
	return ok
}

// sameJSON compares two values; the order of members and white space do not count.
func sameJSON(a, b json.RawMessage) bool {
	if bytes.Equal(a, b) {
		return true
	}
	if len(a) == 0 || len(b) == 0 {
		return false
	}
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	return reflect.DeepEqual(x, y)
}

// variant returns another spoke whose description of the operation may differ from c's, unless it is known to. The
// spokes of one operation of which none differs are all like the first.
func (t *table) variant(c *conn, p profile, operation string) (*conn, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if _, known := t.variants[operation]; known {
		return nil, false
	}
	for _, other := range t.providers[operation] {
		if other != c {
			return other, other.profile.set != p.set
		}
	}
	return nil, false
}

// markVariants notes that the descriptions of the operation differ; it returns false if that is known, or nothing
// serves it now.
func (t *table) markVariants(operation string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, known := t.variants[operation]; known || len(t.providers[operation]) == 0 {
		return false
	}
	if t.variants == nil {
		t.variants = make(map[string]struct{})
	}
	t.variants[operation] = struct{}{}
	return true
}
