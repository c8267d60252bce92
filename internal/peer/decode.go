package peer

import (
	"bytes"
	"fmt"
	"time"
	"unsafe"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/wire"
)

// decodeCache keeps the last identity of a connection and a few names: a hub sends a spoke the same few
// over and over. It is the reader's alone; an Identity is shared and never changed.
type decodeCache struct {
	raw   []byte
	id    *call.Identity
	names [4]string
	next  uint8 // the name to be replaced
}

// request sets req from a call.requested, as far as that is well-formed. Nothing points into m.
func (c *decodeCache) request(m *wire.Message, req *call.Request, now time.Time) (err error) {
	*req = call.Request{
		Operation: c.name(m.Operation), To: c.name(m.To), Stream: m.Stream, FailFast: m.FailFast,
		Timeout: m.Timeout(now), IdleTimeout: m.IdleTimeout,
	}
	// One allocation for all ids and values. The handler owns the values, whose capacity ends where they end; the ids are
	// never written again.
	slab := make([]byte, 0, len(m.ID)+len(m.OriginID)+len(m.ParentID)+len(m.Input)+len(m.Metadata))
	slab = append(append(append(append(append(slab, m.ID...), m.OriginID...), m.ParentID...), m.Input...), m.Metadata...)
	cut := func(n int) []byte {
		part := slab[:n:n]
		slab = slab[n:]
		return part
	}
	req.ID, req.OriginID, req.ParentID = text(cut(len(m.ID))), text(cut(len(m.OriginID))), text(cut(len(m.ParentID)))
	if input := cut(len(m.Input)); len(input) > 0 {
		req.Input = input
	}
	if metadata := cut(len(m.Metadata)); len(metadata) > 0 {
		req.Metadata = metadata
	}
	if m.Err != nil {
		return m.Err
	}
	if m.Identity != nil {
		if req.Identity, err = c.identity(m.Identity); err != nil {
			return err
		}
	}
	if m.Selector != nil {
		if req.Selector, err = wire.ParseLabels(m.Selector); err != nil {
			return fmt.Errorf("selector: %w", err)
		}
	}
	return nil
}

// text returns b, which is never written again, as a string, without a copy.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// name returns a text without an allocation if it was among the last ones.
func (c *decodeCache) name(text []byte) string {
	const kept = 64
	for _, v := range c.names {
		if string(text) == v {
			return v
		}
	}
	v := string(text)
	if len(v) <= kept && v != "" {
		c.names[c.next%4] = v
		c.next++
	}
	return v
}

// maxCachedBytes bounds the identity that is kept.
const maxCachedBytes = 1 << 10

func (c *decodeCache) identity(raw []byte) (*call.Identity, error) {
	if c.id != nil && bytes.Equal(c.raw, raw) {
		return c.id, nil
	}
	id := &call.Identity{}
	var err error
	if id.ID, id.Scopes, id.Resources, err = wire.ParseIdentity(raw); err != nil {
		return nil, err
	}
	if len(raw) <= maxCachedBytes {
		c.raw, c.id = append(c.raw[:0], raw...), id
	}
	return id, nil
}

// AppendRequest appends a call.requested with the id, the time and the credit of this peer; negative
// credit is none.
func AppendRequest(dst []byte, id string, req *call.Request, timeout time.Duration, credit int) []byte {
	c := wire.Call{
		ID: id, Operation: req.Operation, Input: req.Input, Stream: req.Stream, Credit: credit, Timeout: timeout, IdleTimeout: req.IdleTimeout,
		FailFast: req.FailFast, To: req.To, OriginID: req.OriginID, ParentID: req.ParentID, Selector: req.Selector, Metadata: req.Metadata,
	}
	if i := req.Identity; i != nil {
		var room [256]byte
		c.Identity = wire.AppendIdentity(room[:0], i.ID, i.Scopes, i.Resources)
	}
	return wire.AppendRequested(dst, &c)
}

// Failure returns an error as it is sent. It shares the details.
func Failure(e *call.Error) *wire.Failure {
	return &wire.Failure{Code: string(e.Code), Message: e.Message, Retryable: e.Retryable, Sent: e.Sent, Details: e.Details}
}

// Error returns an error as it was received. It shares the details.
func Error(f *wire.Failure) *call.Error {
	return &call.Error{Code: call.Code(f.Code), Message: f.Message, Retryable: f.Retryable, Sent: f.Sent, Details: f.Details}
}
