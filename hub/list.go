package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/jsonscan"
	"github.com/alkdev/hubspoke/internal/peer"
	"github.com/alkdev/hubspoke/internal/wire"
)

// ListQuery is the input of hub.spokes and hub.operations (protocol section 4). The zero value asks for the
// first [DefaultListLimit] items.
type ListQuery struct {
	// Limit is how many items a page has at most; 0 is [DefaultListLimit], more than [MaxListLimit] is refused.
	// A page has fewer where more would not fit into the asker's message size.
	Limit int `json:"limit,omitempty"`
	// After is the name after which the page begins, exclusive: the Next of the previous page. If it is
	// empty, the page begins with the first name.
	After string `json:"after,omitempty"`
	// Prefix selects the names that begin with it.
	Prefix string `json:"prefix,omitempty"`
	// Operation selects the spokes that serve this operation; in a list of operations, this one.
	Operation string `json:"operation,omitempty"`
	// Selector selects the spokes that have all these labels; in a list of operations, what those serve.
	Selector map[string]string `json:"selector,omitempty"`
	// Fields are the JSON members that the items have besides those that identify them (spokeId, hubId
	// and generation; name and spokes); empty is all. An unknown field is refused.
	Fields []string `json:"fields,omitempty"`
}

// The sizes of a page.
const (
	DefaultListLimit = 100
	MaxListLimit     = 500
)

// Page is one page of a list, ordered by name, byte by byte. Items are [SpokeInfo] or [OperationInfo], or
// [json.RawMessage] to keep them as they came.
type Page[T any] struct {
	Items []T `json:"items"`
	// Next is the After of the next page; empty if there is none.
	Next string `json:"next,omitempty"`
	// Incomplete names the hubs whose items may be missing.
	Incomplete []Incomplete `json:"incomplete,omitempty"`
}

// Incomplete names a hub that did not answer, and the error code.
type Incomplete struct {
	// HubID is empty if the directory did not name the other hubs.
	HubID string    `json:"hubId,omitempty"`
	Code  call.Code `json:"code"`
}

// IncompleteError reports that an answer lacks the contributions of some hubs.
type IncompleteError struct{ Hubs []Incomplete }

// Error implements error.
func (e *IncompleteError) Error() string {
	parts := make([]string, len(e.Hubs))
	for i, h := range e.Hubs {
		if h.HubID == "" {
			parts[i] = "the directory: " + string(h.Code)
		} else {
			parts[i] = "hub " + h.HubID + ": " + string(h.Code)
		}
	}
	return "incomplete: " + strings.Join(parts, ", ")
}

// listsAtOnce bounds the pages that are built at the same time.
const listsAtOnce = 4

// listKind is what differs between the lists.
type listKind struct {
	operation string   // of the hub
	key       string   // the member that orders the items
	always    []string // the members that Fields does not remove; the last is what items are merged by
	short     []string // the members that an item keeps which is too large for any page
	members   []string // all members
	// here adds what this hub has; own includes its own operations.
	here  func(ctx context.Context, k *listKind, h *Hub, id *call.Identity, q *ListQuery, own bool, b *pageBuilder) error
	merge func([]listItem) []listItem // of items sorted by key, those that stay
}

// listItem is an item as it is encoded in the answer, with the keys by which pages of several hubs are merged.
type listItem struct {
	key string
	raw json.RawMessage
	n   int64 // the generation of a spoke, the number of spokes of an operation
}

// parse reads the input of a list.
func (k *listKind) parse(in json.RawMessage) (*ListQuery, int64, error) {
	q := new(ListQuery)
	var limit, room int64
	if len(in) > 0 && !jsonscan.IsNull(in) {
		err := jsonscan.Decode(in,
			jsonscan.IntField("limit", &limit),
			jsonscan.StringField("after", &q.After),
			jsonscan.StringField("prefix", &q.Prefix),
			jsonscan.StringField("operation", &q.Operation),
			jsonscan.MapField("selector", &q.Selector),
			jsonscan.StringsField("fields", &q.Fields),
			jsonscan.IntField("room", &room)) // of links
		if err != nil {
			return nil, 0, k.invalid("%v", err)
		}
	}
	q.Limit = int(max(min(limit, MaxListLimit+1), -1))
	return q, room, k.check(q)
}

// check refuses what no page can be made of, and sets the default.
func (k *listKind) check(q *ListQuery) error {
	if q.Limit < 0 || q.Limit > MaxListLimit {
		return k.invalid("limit must be 1 to %d, or 0 for %d", MaxListLimit, DefaultListLimit)
	}
	if q.Limit == 0 {
		q.Limit = DefaultListLimit
	}
	for _, f := range q.Fields {
		if !slices.Contains(k.members, f) {
			return k.invalid("fields: an item has no member %q", f)
		}
	}
	return nil
}

func (k *listKind) invalid(format string, args ...any) error {
	return call.Refuse(&call.Error{Code: call.CodeValidation, Message: k.operation + ": " + fmt.Sprintf(format, args...)})
}

// roomKey is the key under which the context of a list has the bytes that its answer may have.
type roomKey struct{}

// room returns the bytes that the answer to the caller may have.
func (h *Hub) room(ctx context.Context) int64 {
	if n, ok := ctx.Value(roomKey{}).(int64); ok {
		return n
	}
	return h.opts.MaxMessageBytes
}

// registerList registers the operation of a list.
func (h *Hub) registerList(k *listKind, description string) {
	op := call.Operation{Name: k.operation, Description: description}
	must(call.Handle(&h.operations, op, func(ctx context.Context, in json.RawMessage) (json.RawMessage, error) {
		q, _, err := k.parse(in)
		if err != nil {
			return nil, err
		}
		p, err := h.page(ctx, k, call.IdentityFrom(ctx), q, h.room(ctx))
		return appendPage(nil, p), err
	}))
	must(call.Handle(&h.linkOperations, call.Operation{Name: k.operation}, func(ctx context.Context, in json.RawMessage) (json.RawMessage, error) {
		q, room, err := k.parse(in)
		if err != nil {
			return nil, err
		}
		p, err := h.pageHere(ctx, k, call.IdentityFrom(ctx), q, false, max(room, 0))
		return appendPage(nil, p), err
	}))
}

// listing makes one list at a time for the spoke, as large as it takes: the next is built when this one has
// been queued for it, so that a spoke that asks and does not read makes the hub hold one page beyond its queue.
func (c *conn) listing(next call.Handler) call.Handler {
	return func(ctx context.Context, req *call.Request, send func(call.Envelope) error) error {
		if err := c.lists.enterWithin(ctx); err != nil {
			return err
		}
		defer c.lists.leave()
		return next(context.WithValue(ctx, roomKey{}, c.maxMessage.Load()-answerBytes(req)), req, send)
	}
}

// answerBytes is what an answer has around its data.
func answerBytes(req *call.Request) int64 {
	return int64(len(`{"type":"call.responded","payload":{"requestId":,"output":{"data":,"meta":{"source":"local","operationId":"","timestamp":1700000000000}}}}`) +
		len(req.Operation) + len(jsonscan.AppendString(nil, req.ID)))
}

func (h *Hub) isList(operation string) bool {
	return operation == spokeList.operation || operation == operationList.operation
}

// SpokePage returns a page of the spokes of all hubs that the identity may see; a nil identity sees all. Items are
// [SpokeInfo] with the members that the query asks for. A hub that does not answer within ctx, at most 5 s, is
// in Incomplete. The error is an [*call.Error]: VALIDATION_ERROR, or how ctx ended.
func (h *Hub) SpokePage(ctx context.Context, id *call.Identity, q ListQuery) (Page[json.RawMessage], error) {
	return h.checkedPage(ctx, &spokeList, id, q)
}

// OperationPage returns a page of what the identity may call on all hubs, this hub's own operations included;
// a nil identity sees all. Items are [OperationInfo]. For the rest see [Hub.SpokePage].
func (h *Hub) OperationPage(ctx context.Context, id *call.Identity, q ListQuery) (Page[json.RawMessage], error) {
	return h.checkedPage(ctx, &operationList, id, q)
}

func (h *Hub) checkedPage(ctx context.Context, k *listKind, id *call.Identity, q ListQuery) (Page[json.RawMessage], error) {
	if err := k.check(&q); err != nil {
		return Page[json.RawMessage]{}, err
	}
	return h.page(ctx, k, id, &q, h.room(ctx))
}

// page makes a page of what all hubs have.
func (h *Hub) page(ctx context.Context, k *listKind, id *call.Identity, q *ListQuery, room int64) (Page[json.RawMessage], error) {
	if h.alone() {
		return h.pageHere(ctx, k, id, q, true, room)
	}
	hubs, incomplete := h.others(ctx)
	return h.pageOf(ctx, k, id, q, room, hubs, incomplete)
}

// pageOf merges the items of this hub and of the pages of others into a page.
func (h *Hub) pageOf(ctx context.Context, k *listKind, id *call.Identity, q *ListQuery, room int64, hubs []string, incomplete []Incomplete) (Page[json.RawMessage], error) {
	share := max(room/int64(len(hubs)+1), 64<<10)
	in, err := json.Marshal(struct {
		*ListQuery
		Room int64 `json:"room"`
	}{q, share})
	if err != nil {
		return Page[json.RawMessage]{}, err
	}
	here, err := h.pageHere(ctx, k, id, q, true, share)
	if err != nil {
		return Page[json.RawMessage]{}, err
	}
	own, err := k.page(here)
	if err != nil {
		return Page[json.RawMessage]{}, err
	}
	pages := []hubPage{own}
	missing := h.askOthers(ctx, hubs, &call.Request{Operation: k.operation, Identity: id, Input: in}, func(data json.RawMessage) error {
		raw, err := parsePage(data)
		if err != nil {
			return err
		}
		p, err := k.page(raw)
		if err == nil {
			pages = append(pages, p)
		}
		return err
	})
	incomplete = append(incomplete, missing...)
	if ctx.Err() != nil {
		return Page[json.RawMessage]{}, peer.ContextError(ctx, false)
	}
	return k.mergePages(pages, q, room, incomplete), nil
}

// pageHere makes a page of what this hub has, with or without its own operations.
func (h *Hub) pageHere(ctx context.Context, k *listKind, id *call.Identity, q *ListQuery, own bool, room int64) (Page[json.RawMessage], error) {
	select {
	case h.building <- struct{}{}:
		defer func() { <-h.building }()
	case <-ctx.Done():
		return Page[json.RawMessage]{}, peer.ContextError(ctx, false)
	}
	b := newPageBuilder(q, room)
	if err := k.here(ctx, k, h, id, q, own, b); err != nil {
		return Page[json.RawMessage]{}, err
	}
	return b.page, nil
}

// hubPage is a page of one hub.
type hubPage struct {
	items []listItem
	next  string
}

// mergePages makes one page of those of several hubs. What is behind the end of a page that has a next one is
// left to the next page: that hub may have more in front of it.
func (k *listKind) mergePages(pages []hubPage, q *ListQuery, room int64, incomplete []Incomplete) Page[json.RawMessage] {
	var items []listItem
	end := ""
	for _, p := range pages {
		if p.next != "" && (end == "" || p.next < end) {
			end = p.next
		}
		items = append(items, p.items...)
	}
	slices.SortStableFunc(items, func(a, b listItem) int { return strings.Compare(a.key, b.key) })
	b := newPageBuilder(q, room)
	b.page.Incomplete = incomplete
	for _, i := range incomplete {
		b.room -= int64(len(i.HubID)*2 + len(i.Code) + 32)
	}
	for _, it := range k.merge(items) {
		if end != "" && it.key > end {
			break
		}
		if !b.add(it.key, it.raw, nil) {
			return b.page
		}
	}
	b.page.Next = end
	return b.page
}

// page reads the keys of the items of one hub.
func (k *listKind) page(p Page[json.RawMessage]) (hubPage, error) {
	out := hubPage{next: p.Next}
	number := k.always[len(k.always)-1]
	for _, raw := range p.Items {
		it := listItem{raw: raw}
		err := jsonscan.Decode(raw, jsonscan.StringField(k.key, &it.key), jsonscan.IntField(number, &it.n))
		if err != nil {
			return hubPage{}, fmt.Errorf("hub: %s: an item is unusable: %w", k.operation, err)
		}
		out.items = append(out.items, it)
	}
	return out, nil
}

// pageBuilder adds items to a page while they fit.
type pageBuilder struct {
	page  Page[json.RawMessage]
	limit int
	room  int64
	last  string
}

// nextBytes is what the Next of a page takes at most: a name of which each byte is escaped.
const nextBytes = 2*wire.MaxNameBytes + 32

func newPageBuilder(q *ListQuery, room int64) *pageBuilder {
	return &pageBuilder{page: Page[json.RawMessage]{Items: []json.RawMessage{}}, limit: q.Limit, room: room - nextBytes}
}

// add adds an item, or returns false if the page is full: then it has a Next. An item that is too large for any
// page is replaced by what short returns, unless that is nil.
func (b *pageBuilder) add(key string, item json.RawMessage, short func() json.RawMessage) bool {
	n := len(b.page.Items)
	if n == b.limit || n > 0 && int64(len(item)) >= b.room {
		b.page.Next = b.last
		return false
	}
	if int64(len(item)) >= b.room && short != nil {
		item = short()
	}
	b.page.Items = append(b.page.Items, item)
	b.room -= int64(len(item)) + 1
	b.last = key
	return true
}

// put adds the item of a value.
func (k *listKind) put(b *pageBuilder, key string, v any, q *ListQuery) (bool, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return false, fmt.Errorf("hub: %s: %q: %w", k.operation, key, err)
	}
	item := json.RawMessage(raw)
	if len(q.Fields) > 0 {
		item = onlyMembers(raw, append(slices.Clone(k.always), q.Fields...))
	}
	return b.add(key, item, func() json.RawMessage {
		short := onlyMembers(raw, k.short)
		return append(short[:len(short)-1], `,"truncated":true}`...)
	}), nil
}

// onlyMembers returns an object with those members of another that are named.
func onlyMembers(raw json.RawMessage, names []string) json.RawMessage {
	out := []byte{'{'}
	for name, value := range jsonscan.Members(raw) {
		if !slices.Contains(names, string(name)) {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(jsonscan.AppendString(out, string(name)), ':')
		out = append(out, value...)
	}
	return append(out, '}')
}

func appendPage(dst []byte, p Page[json.RawMessage]) json.RawMessage {
	dst = append(dst, `{"items":[`...)
	for i, it := range p.Items {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, it...)
	}
	dst = append(dst, ']')
	if p.Next != "" {
		dst = jsonscan.AppendString(append(dst, `,"next":`...), p.Next)
	}
	if len(p.Incomplete) > 0 {
		dst = append(append(dst, ','), incompleteMember(p.Incomplete)...)
	}
	return append(dst, '}')
}

// incompleteMember is `"incomplete":[…]`.
func incompleteMember(hubs []Incomplete) []byte {
	list, _ := json.Marshal(hubs) // strings always marshal
	return append([]byte(`"incomplete":`), list...)
}

// parsePage reads the answer of another hub.
func parsePage(data json.RawMessage) (p Page[json.RawMessage], err error) {
	var items []byte
	if err := jsonscan.Decode(data, jsonscan.RawField("items", &items), jsonscan.StringField("next", &p.Next)); err != nil {
		return p, err
	}
	c := jsonscan.Read(items)
	if !c.Array() {
		return p, errors.New("its items are not an array")
	}
	for c.Element() {
		p.Items = append(p.Items, c.Value())
	}
	return p, c.End()
}

// everything collects all pages of a list. Hubs that could not be asked once are not asked for the later pages.
func everything[T any](ctx context.Context, h *Hub, k *listKind, id *call.Identity, q *ListQuery) ([]T, error) {
	list := []T{}
	var hubs []string
	var incomplete []Incomplete
	if !h.alone() {
		hubs, incomplete = h.others(ctx)
	}
	q.Limit = MaxListLimit
	var missing []Incomplete
	for {
		p, err := h.pageOf(ctx, k, id, q, h.opts.MaxMessageBytes, hubs, nil)
		if err != nil {
			return list, err
		}
		for _, raw := range p.Items {
			var v T
			if err := json.Unmarshal(raw, &v); err != nil {
				return list, fmt.Errorf("hub: %s: %w", k.operation, err)
			}
			list = append(list, v)
		}
		missing = append(missing, p.Incomplete...)
		hubs = slices.DeleteFunc(hubs, func(id string) bool {
			return slices.ContainsFunc(p.Incomplete, func(i Incomplete) bool { return i.HubID == id })
		})
		if q.After = p.Next; q.After == "" {
			break
		}
	}
	if incomplete = append(incomplete, missing...); len(incomplete) > 0 {
		return list, &IncompleteError{incomplete}
	}
	return list, nil
}

// answerTime is the timeout for other hubs, so that their answers still reach the caller within the call's timeout.
func answerTime(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return everywhereTimeout
	}
	left := time.Until(deadline)
	return min(left-min(left/10, 500*time.Millisecond), everywhereTimeout)
}
