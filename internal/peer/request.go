package peer

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/jsonscan"
)

// maxIDBytes bounds requestId, originId and parentRequestId (protocol section 3).
const maxIDBytes = 128

// wireRequest is a call.requested as it arrived. Its slices are copies.
type wireRequest struct {
	req     *call.Request
	told    bool // req.Stream was said; else it follows the operation's type
	credit  int  // with metered: how many responses it takes at first
	metered bool // false: takes all
	timeout time.Duration
	memo    *identityMemo
}

// identityMemo keeps the last identity of a connection, and a few names: a hub tells a
// spoke the same few over and over. It is used by the reader alone; an Identity is shared and never changed.
type identityMemo struct {
	raw   []byte
	id    *call.Identity
	names [4]string
	next  uint8 // the name to be replaced
}

// name is shortString without the allocation for a name that came before.
func (m *identityMemo) name(member string, raw []byte) (string, error) {
	const limit, kept = call.MaxNameBytes, 64
	if n := len(raw) - 1; n > 0 && raw[0] == '"' {
		for _, v := range m.names {
			if string(raw[1:n]) == v {
				return v, nil
			}
		}
	}
	v, err := shortString(member, raw, limit)
	// With a backslash inside it would match a raw string that is escaped.
	if err == nil && len(v) <= kept && strings.IndexByte(v, '\\') < 0 {
		m.names[m.next%4] = v
		m.next++
	}
	return v, err
}

func (m *identityMemo) parse(raw []byte) (*call.Identity, error) {
	if m.id != nil && bytes.Equal(m.raw, raw) {
		return m.id, nil
	}
	id, err := parseIdentity(raw)
	if err == nil && len(raw) <= maxMemoBytes {
		m.raw, m.id = bytes.Clone(raw), id
	}
	return id, err
}

// maxMemoBytes keeps an idle connection small.
const maxMemoBytes = 512

var errNoID = errors.New("no requestId")

type seen uint32

func (s *seen) twice(bit int) bool {
	old := *s
	*s |= 1 << bit
	return old&(1<<bit) != 0
}

// parseRequest reads a call.requested into a request of its own; see parse.
func parseRequest(payload []byte, now time.Time, memo *identityMemo) (*wireRequest, error) {
	w := &wireRequest{req: new(call.Request), memo: memo}
	return w, w.parse(payload, now)
}

// parse reads a call.requested. The error, if any, is for the caller;
// it is errNoID when there is nobody to answer. What stays of payload is copied.
func (w *wireRequest) parse(payload []byte, now time.Time) error {
	if jsonscan.Kind(payload) != '{' {
		return errNoID
	}
	var s seen
	var bad error
	o := jsonscan.OpenValid(payload)
	for o.Next() {
		name, raw := o.Name(), o.Value()
		bit := memberBit(name)
		if bit < 0 {
			continue
		}
		if s.twice(bit) {
			bad = errors.Join(bad, fmt.Errorf("duplicate member %q", name))
			continue
		}
		if jsonscan.IsNull(raw) && bit != bitInput {
			continue
		}
		if err := w.set(bit, raw, now); err != nil && bad == nil {
			bad = err
		}
	}
	if o.Err() != nil || w.req.ID == "" {
		return errNoID
	}
	if bad == nil && w.req.Operation == "" {
		bad = errors.New("no operationId")
	}
	if w.timeout > 0 {
		w.req.Timeout = w.timeout
	}
	return bad
}

const (
	bitID = iota
	bitOperation
	bitInput
	bitStream
	bitCredit
	bitTo
	bitSelector
	bitTimeout
	bitDeadline
	bitIdle
	bitOrigin
	bitParent
	bitIdentity
	bitMetadata
	bitFailFast
)

func memberBit(name []byte) int {
	switch string(name) {
	case "requestId":
		return bitID
	case "operationId":
		return bitOperation
	case "input":
		return bitInput
	case "stream":
		return bitStream
	case "credit":
		return bitCredit
	case "to":
		return bitTo
	case "selector":
		return bitSelector
	case "timeout":
		return bitTimeout
	case "deadline":
		return bitDeadline
	case "idleTimeout":
		return bitIdle
	case "originId":
		return bitOrigin
	case "parentRequestId":
		return bitParent
	case "identity":
		return bitIdentity
	case "metadata":
		return bitMetadata
	case "failFast":
		return bitFailFast
	}
	return -1
}

func (w *wireRequest) set(bit int, raw []byte, now time.Time) (err error) {
	switch bit {
	case bitID:
		return w.setID(raw)
	case bitOperation:
		w.req.Operation, err = w.memo.name("operationId", raw)
	case bitInput:
		if !jsonscan.IsNull(raw) {
			w.req.Input = bytes.Clone(raw)
		}
	case bitStream:
		var ok bool
		if w.req.Stream, ok = jsonscan.Bool(raw); !ok {
			return errors.New("stream is not a boolean")
		}
		w.told = true
	case bitFailFast:
		var ok bool
		if w.req.FailFast, ok = jsonscan.Bool(raw); !ok {
			return errors.New("failFast is not a boolean")
		}
	case bitCredit:
		w.credit, err = count("credit", raw)
		w.metered = true
	case bitTo:
		w.req.To, err = w.memo.name("to", raw)
	case bitSelector:
		err = jsonscan.Decode(append(append([]byte(`{"selector":`), raw...), '}'), jsonscan.MapField("selector", &w.req.Selector))
	case bitTimeout, bitDeadline, bitIdle:
		err = w.setTime(bit, raw, now)
	case bitOrigin:
		w.req.OriginID, err = shortString("originId", raw, maxIDBytes)
	case bitParent:
		w.req.ParentID, err = shortString("parentRequestId", raw, maxIDBytes)
	case bitIdentity:
		w.req.Identity, err = w.memo.parse(raw)
	case bitMetadata:
		if jsonscan.Kind(raw) != '{' {
			return errors.New("metadata is not an object")
		}
		w.req.Metadata = bytes.Clone(raw)
	}
	return err
}

func (w *wireRequest) setID(raw []byte) error {
	id, ok := jsonscan.String(raw)
	if !ok || id == "" || len(id) > maxIDBytes {
		return fmt.Errorf("requestId is not a string of 1 to %d bytes", maxIDBytes)
	}
	w.req.ID = id
	return nil
}

// setTime takes timeout and deadline together: timeout wins, since clocks differ.
func (w *wireRequest) setTime(bit int, raw []byte, now time.Time) error {
	ms, ok := jsonscan.Int(raw)
	if !ok {
		return fmt.Errorf("%s is not an integer, in milliseconds", timeNames[bit])
	}
	if bit == bitIdle && ms < 0 {
		return fmt.Errorf("idleTimeout is negative: %d", ms)
	}
	d := time.Duration(min(max(ms, 0), maxMillis)) * time.Millisecond
	switch bit {
	case bitTimeout:
		w.timeout = max(d, time.Nanosecond)
	case bitIdle:
		w.req.IdleTimeout = d
	case bitDeadline:
		w.req.Timeout = min(max(time.UnixMilli(min(ms, 1<<52)).Sub(now), time.Nanosecond), maxMillis*time.Millisecond)
	}
	return nil
}

var timeNames = map[int]string{bitTimeout: "timeout", bitDeadline: "deadline", bitIdle: "idleTimeout"}

// maxMillis keeps durations from overflowing: a hundred years.
const maxMillis = 100 * 365 * 24 * 3600 * 1000

func shortString(name string, raw []byte, limit int) (string, error) {
	v, ok := jsonscan.String(raw)
	if !ok || len(v) > limit {
		return "", fmt.Errorf("%s is not a string of at most %d bytes", name, limit)
	}
	return v, nil
}

func count(name string, raw []byte) (int, error) {
	n, ok := jsonscan.Int(raw)
	if !ok || n < 0 {
		return 0, fmt.Errorf("%s is not an integer from 0", name)
	}
	return int(min(n, 1<<30)), nil
}

func parseIdentity(raw []byte) (*call.Identity, error) {
	id := &call.Identity{}
	var resources []byte
	err := jsonscan.Decode(raw,
		jsonscan.StringField("id", &id.ID),
		jsonscan.StringsField("scopes", &id.Scopes),
		jsonscan.Field{Name: "resources", Set: func(raw []byte) error { resources = raw; return nil }})
	if err != nil || resources == nil || jsonscan.IsNull(resources) {
		return id, err
	}
	id.Resources = map[string][]string{}
	o := jsonscan.OpenValid(resources)
	for o.Next() {
		var actions []string
		name := string(o.Name())
		if _, twice := id.Resources[name]; twice {
			return nil, fmt.Errorf("identity.resources: duplicate member %q", name)
		}
		one := append(append([]byte(`{"r":`), o.Value()...), '}')
		if err := jsonscan.Decode(one, jsonscan.StringsField("r", &actions)); err != nil {
			return nil, fmt.Errorf("identity.resources: %w", err)
		}
		id.Resources[name] = actions
	}
	return id, o.Err()
}

// tooLarge says that a frame is over what the other side takes.
func tooLarge(size int, limit int64) *call.Error {
	return &call.Error{Code: call.CodeMessageTooLarge,
		Message: fmt.Sprintf("the message has %d bytes; the receiver takes %d", size, limit)}
}
