package wire

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/alkdev/hubspoke/internal/jsonscan"
)

// Limits of the texts in a request, in bytes.
const (
	MaxIDBytes   = 128 // requestId, originId, parentRequestId
	MaxNameBytes = 256 // operationId, to
)

// Request has the members of a call.requested that was read, but for its id and credit.
type Request struct {
	Operation []byte
	Input     []byte // JSON; nil is null
	To        []byte
	Selector  []byte // a JSON object; see [ParseLabels]
	OriginID  []byte
	ParentID  []byte
	Identity  []byte // a JSON object; see [ParseIdentity]
	Metadata  []byte // a JSON object
	Stream    bool
	HasStream bool // Stream was given; else it follows the operation's type
	FailFast  bool
	// IdleTimeout is the time allowed between two responses; 0 is no limit.
	IdleTimeout time.Duration

	timeout     time.Duration // 0: none
	deadline    int64
	hasDeadline bool
}

// Timeout returns the time that is left for the call at now, at least 1 ns, and 0 if the request has
// neither a timeout nor a deadline. The timeout takes precedence, since clocks differ.
func (r *Request) Timeout(now time.Time) time.Duration {
	switch {
	case r.timeout > 0:
		return r.timeout
	case r.hasDeadline:
		left := time.UnixMilli(min(r.deadline, 1<<52)).Sub(now)
		return min(max(left, time.Nanosecond), maxMillis*time.Millisecond)
	}
	return 0
}

// Call has the members of a call.requested that is written. Absent members are not written.
type Call struct {
	ID, Operation string
	Input         []byte // JSON; empty is null
	Stream        bool
	Credit        int           // of a stream; negative is none
	Timeout       time.Duration // 0 is none; it is rounded up to milliseconds
	IdleTimeout   time.Duration // likewise
	FailFast      bool
	To            string
	OriginID      string
	ParentID      string
	Selector      map[string]string
	Identity      []byte // a JSON object; see [AppendIdentity]
	Metadata      []byte // a JSON object
}

// AppendRequested appends a call.requested.
func AppendRequested(dst []byte, c *Call) []byte {
	dst = jsonscan.AppendString(append(dst, `{"type":"call.requested","payload":{"requestId":`...), c.ID)
	dst = jsonscan.AppendString(append(dst, `,"operationId":`...), c.Operation)
	dst = strconv.AppendBool(append(dst, `,"stream":`...), c.Stream)
	if c.Timeout > 0 {
		dst = strconv.AppendInt(append(dst, `,"timeout":`...), millis(c.Timeout), 10)
	}
	if c.Credit >= 0 {
		dst = strconv.AppendInt(append(dst, `,"credit":`...), int64(c.Credit), 10)
	}
	if c.To != "" {
		dst = jsonscan.AppendString(append(dst, `,"to":`...), c.To)
	}
	if c.OriginID != "" {
		dst = jsonscan.AppendString(append(dst, `,"originId":`...), c.OriginID)
	}
	if c.ParentID != "" {
		dst = jsonscan.AppendString(append(dst, `,"parentRequestId":`...), c.ParentID)
	}
	if c.IdleTimeout > 0 {
		dst = strconv.AppendInt(append(dst, `,"idleTimeout":`...), millis(c.IdleTimeout), 10)
	}
	if c.FailFast {
		dst = append(dst, `,"failFast":true`...)
	}
	if len(c.Selector) > 0 {
		dst = appendMap(append(dst, `,"selector":`...), c.Selector, jsonscan.AppendString)
	}
	if len(c.Identity) > 0 {
		dst = append(append(dst, `,"identity":`...), c.Identity...)
	}
	if len(c.Metadata) > 0 {
		dst = append(append(dst, `,"metadata":`...), c.Metadata...)
	}
	return append(appendValue(append(dst, `,"input":`...), c.Input), "}}"...)
}

// millis rounds up, since 0 would be no time, and does not overflow for the longest of times.
func millis(d time.Duration) int64 {
	ms := d.Milliseconds()
	if d%time.Millisecond > 0 {
		ms++
	}
	return ms
}

// AppendAborted appends a call.aborted. An empty reason is left out, a long one is cut to 1 KiB.
func AppendAborted(dst []byte, id, reason string) []byte {
	const limit = 1 << 10
	dst = jsonscan.AppendString(append(dst, `{"type":"call.aborted","payload":{"requestId":`...), id)
	if reason != "" {
		dst = jsonscan.AppendString(append(dst, `,"reason":`...), jsonscan.Cut(reason, limit))
	}
	return append(dst, "}}"...)
}

// AppendCredited appends a call.credit.
func AppendCredited(dst []byte, id string, n int) []byte {
	dst = jsonscan.AppendString(append(dst, `{"type":"call.credit","payload":{"requestId":`...), id)
	return append(strconv.AppendInt(append(dst, `,"credit":`...), int64(n), 10), "}}"...)
}

// AppendIdentity appends the identity of a caller, as a JSON object.
func AppendIdentity(dst []byte, id string, scopes []string, resources map[string][]string) []byte {
	dst = jsonscan.AppendString(append(dst, `{"id":`...), id)
	if len(scopes) > 0 {
		dst = appendStrings(append(dst, `,"scopes":`...), scopes)
	}
	if len(resources) > 0 {
		dst = appendMap(append(dst, `,"resources":`...), resources, appendStrings)
	}
	return append(dst, '}')
}

// ParseIdentity reads the identity of a caller. Nothing points into raw.
func ParseIdentity(raw []byte) (id string, scopes []string, resources map[string][]string, err error) {
	err = jsonscan.Decode(raw,
		jsonscan.StringField("id", &id),
		jsonscan.StringsField("scopes", &scopes),
		jsonscan.Field{Name: "resources", Value: jsonscan.Func(func(raw []byte) (err error) {
			resources, err = parseResources(raw)
			return err
		})})
	if err != nil {
		return "", nil, nil, fmt.Errorf("identity: %w", err)
	}
	return id, scopes, resources, nil
}

func parseResources(raw []byte) (map[string][]string, error) {
	if jsonscan.IsNull(raw) {
		return nil, nil
	}
	c := jsonscan.Read(raw)
	if !c.Object() {
		return nil, errors.New("is not an object")
	}
	resources := map[string][]string{}
	for c.Member() {
		name := string(c.Name())
		if _, twice := resources[name]; twice {
			return nil, fmt.Errorf("duplicate member %q", name)
		}
		list, ok := jsonscan.Strings(c.Value())
		if !ok {
			return nil, fmt.Errorf("%q is not an array of strings", name)
		}
		resources[name] = list
	}
	return resources, nil
}

// ParseLabels reads an object of strings, such as a selector.
func ParseLabels(raw []byte) (labels map[string]string, err error) {
	err = jsonscan.MapField("", &labels).Value.Set(raw)
	return labels, err
}

func appendStrings(dst []byte, list []string) []byte {
	dst = append(dst, '[')
	for i, s := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = jsonscan.AppendString(dst, s)
	}
	return append(dst, ']')
}

// appendMap appends an object, its members in no order.
func appendMap[V any](dst []byte, m map[string]V, value func([]byte, V) []byte) []byte {
	dst = append(dst, '{')
	first := true
	for k, v := range m {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = value(append(jsonscan.AppendString(dst, k), ':'), v)
	}
	return append(dst, '}')
}

// appendValue appends a value as it is; an empty one is null.
func appendValue(dst, raw []byte) []byte {
	if len(raw) == 0 {
		return append(dst, "null"...)
	}
	return append(dst, raw...)
}
