package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/alkdev/hubspoke/internal/jsonscan"
)

// OperationGather is the operation that calls every spoke (protocol section 4).
const OperationGather = "hub.gather"

// OperationRegister is the operation that a spoke calls first (protocol section 4). Its input is a
// [Registration], its output's data a [Registered].
const OperationRegister = "hub.register"

// DefaultMaxDepth is the nesting of a value that a side accepts if it announces none, and MaxDepth the
// deepest that it may announce: a frame has 10,000 levels, of which frames and hub.gather need some
// around a value.
const (
	DefaultMaxDepth = 256
	MaxDepth        = 9900
)

// Registration describes a spoke.
type Registration struct {
	SpokeID         string            `json:"spokeId,omitempty"`
	InstanceID      string            `json:"instanceId,omitempty"`
	Attempt         int64             `json:"attempt"` // 0 too: required with an instanceId
	Name            string            `json:"name,omitempty"`
	Labels          map[string]string `json:"labels,omitempty"`
	Version         string            `json:"version,omitempty"`
	Operations      json.RawMessage   `json:"operations,omitempty"` // an array; see [ParseOperation]
	MaxInFlight     int               `json:"maxInFlight,omitempty"`
	MaxMessageBytes int64             `json:"maxMessageBytes,omitempty"`
	MaxDepth        int               `json:"maxDepth,omitempty"`
	Session         *Offer            `json:"session,omitempty"`
}

// Offer asks for a new session, or, with an ID, offers one to be resumed (protocol section 8).
type Offer struct {
	ID       string `json:"id,omitempty"`
	Received uint64 `json:"received,omitempty"` // of the session with the ID
	Window   int64  `json:"window,omitempty"`   // in milliseconds; 0: the hub's
	Buffer   int64  `json:"buffer,omitempty"`   // limit of the spoke's queue in bytes; 0: the default
}

// Registered is the answer to a registration.
type Registered struct {
	HubID             string
	SpokeID           string
	ConnectionID      string
	Generation        int64
	HeartbeatInterval int64 // in milliseconds
	MaxMessageBytes   int64
	MaxDepth          int
	// MaxRegistrationBytes and MaxOperations are what the hub accepts of a registration; 0 is unknown.
	MaxRegistrationBytes int
	MaxOperations        int
	Session              *Session // nil if the connection has none
}

// Session describes the session of a connection. It was resumed if its ID is the one that was offered.
type Session struct {
	ID       string
	Received uint64
	Buffer   int64 // limit of the hub's queue in bytes; 0: the default
	Window   int64 // in milliseconds
	URL      string
}

// maxSessionIDBytes bounds the id of a session, which hubs make.
const maxSessionIDBytes = 128

// ParseRegistration reads the input of hub.register. It checks JSON types and ranges; names and operations are
// left to the hub. Nothing points into input.
func ParseRegistration(input []byte) (*Registration, error) {
	r := &Registration{}
	if len(input) == 0 {
		return r, nil
	}
	var operations, session []byte
	var inFlight, depth int64
	hasAttempt := false
	err := jsonscan.Decode(input,
		jsonscan.StringField("spokeId", &r.SpokeID),
		jsonscan.StringField("instanceId", &r.InstanceID),
		jsonscan.Field{Name: "attempt", Value: jsonscan.Func(func(raw []byte) error {
			hasAttempt = !jsonscan.IsNull(raw)
			return jsonscan.IntField("", &r.Attempt).Value.Set(raw)
		})},
		jsonscan.StringField("name", &r.Name),
		jsonscan.MapField("labels", &r.Labels),
		jsonscan.StringField("version", &r.Version),
		jsonscan.RawField("operations", &operations),
		jsonscan.IntField("maxInFlight", &inFlight),
		jsonscan.IntField("maxMessageBytes", &r.MaxMessageBytes),
		jsonscan.IntField("maxDepth", &depth),
		jsonscan.ObjectField("session", &session))
	if err != nil {
		return nil, err
	}
	if r.InstanceID != "" && !hasAttempt {
		return nil, errors.New("an instanceId requires an attempt")
	}
	if err := notNegative("", number{"attempt", r.Attempt}, number{"maxInFlight", inFlight},
		number{"maxMessageBytes", r.MaxMessageBytes}, number{"maxDepth", depth}); err != nil {
		return nil, err
	}
	r.MaxInFlight = int(min(inFlight, 1<<20))
	r.MaxDepth = int(min(depth, MaxDepth))
	r.Operations = operations
	if session == nil {
		return r, nil
	}
	if r.Session, err = parseOffer(session); err != nil {
		return nil, err
	}
	if r.InstanceID == "" {
		return nil, errors.New("a session requires an instanceId and an attempt")
	}
	return r, nil
}

func parseOffer(raw []byte) (*Offer, error) {
	o := &Offer{}
	var received int64
	var id []byte
	err := jsonscan.Decode(raw, jsonscan.RawField("id", &id), jsonscan.IntField("received", &received),
		jsonscan.IntField("window", &o.Window), jsonscan.IntField("buffer", &o.Buffer))
	if err != nil {
		return nil, fmt.Errorf("session: %w", err)
	}
	if err := notNegative("session.", number{"received", received}, number{"buffer", o.Buffer}, number{"window", o.Window}); err != nil {
		return nil, err
	}
	if id != nil {
		var ok bool
		if o.ID, ok = jsonscan.String(id); !ok || o.ID == "" || len(o.ID) > maxSessionIDBytes {
			return nil, fmt.Errorf("session.id is not a string of 1 to %d bytes; leave it out to ask for a new session", maxSessionIDBytes)
		}
	}
	o.Received = uint64(received)
	return o, nil
}

// ParseRegistered reads the data of the answer to a registration.
func ParseRegistered(data []byte) (*Registered, error) {
	r := &Registered{}
	var session []byte
	var depth, registrationBytes, operations int64
	err := jsonscan.Decode(data,
		jsonscan.StringField("hubId", &r.HubID),
		jsonscan.StringField("spokeId", &r.SpokeID),
		jsonscan.StringField("connectionId", &r.ConnectionID),
		jsonscan.IntField("generation", &r.Generation),
		jsonscan.IntField("heartbeatInterval", &r.HeartbeatInterval),
		jsonscan.IntField("maxMessageBytes", &r.MaxMessageBytes),
		jsonscan.IntField("maxDepth", &depth),
		jsonscan.IntField("maxRegistrationBytes", &registrationBytes),
		jsonscan.IntField("maxOperations", &operations),
		jsonscan.ObjectField("session", &session))
	if err != nil {
		return nil, err
	}
	if r.SpokeID == "" {
		return nil, errors.New("the hub's answer has no spokeId")
	}
	if err := notNegative("", number{"heartbeatInterval", r.HeartbeatInterval}, number{"maxMessageBytes", r.MaxMessageBytes},
		number{"maxDepth", depth}, number{"maxRegistrationBytes", registrationBytes}, number{"maxOperations", operations}); err != nil {
		return nil, err
	}
	r.MaxDepth = int(min(depth, MaxDepth))
	r.MaxRegistrationBytes = int(min(registrationBytes, math.MaxInt32))
	r.MaxOperations = int(min(operations, math.MaxInt32))
	if session != nil {
		if r.Session, err = parseSession(session); err != nil {
			return nil, fmt.Errorf("session: %w", err)
		}
	}
	return r, nil
}

func parseSession(raw []byte) (*Session, error) {
	s := &Session{}
	received := int64(0)
	err := jsonscan.Decode(raw, jsonscan.StringField("id", &s.ID), jsonscan.IntField("received", &received),
		jsonscan.IntField("buffer", &s.Buffer), jsonscan.IntField("window", &s.Window), jsonscan.StringField("url", &s.URL))
	switch {
	case err != nil:
		return nil, err
	case s.ID == "" || len(s.ID) > maxSessionIDBytes:
		return nil, fmt.Errorf("id is not 1 to %d bytes", maxSessionIDBytes)
	}
	s.Received = uint64(received)
	return s, notNegative("", number{"received", received}, number{"buffer", s.Buffer}, number{"window", s.Window})
}

// number is a member that must not be negative.
type number struct {
	name  string
	value int64
}

// notNegative returns an error for the first number that is negative.
func notNegative(prefix string, numbers ...number) error {
	for _, n := range numbers {
		if n.value < 0 {
			return fmt.Errorf("%s%s is negative: %d", prefix, n.name, n.value)
		}
	}
	return nil
}

// AppendTo appends the answer as JSON. It is written by hand, since thousands of spokes register within
// a second when a hub has restarted.
func (r *Registered) AppendTo(dst []byte) []byte {
	dst = jsonscan.AppendString(append(dst, `{"hubId":`...), r.HubID)
	dst = jsonscan.AppendString(append(dst, `,"spokeId":`...), r.SpokeID)
	dst = jsonscan.AppendString(append(dst, `,"connectionId":`...), r.ConnectionID)
	dst = strconv.AppendInt(append(dst, `,"generation":`...), r.Generation, 10)
	dst = strconv.AppendInt(append(dst, `,"heartbeatInterval":`...), r.HeartbeatInterval, 10)
	dst = strconv.AppendInt(append(dst, `,"maxMessageBytes":`...), r.MaxMessageBytes, 10)
	dst = strconv.AppendInt(append(dst, `,"maxDepth":`...), int64(r.MaxDepth), 10)
	dst = strconv.AppendInt(append(dst, `,"maxRegistrationBytes":`...), int64(r.MaxRegistrationBytes), 10)
	dst = strconv.AppendInt(append(dst, `,"maxOperations":`...), int64(r.MaxOperations), 10)
	if s := r.Session; s != nil {
		dst = jsonscan.AppendString(append(dst, `,"session":{"id":`...), s.ID)
		dst = strconv.AppendUint(append(dst, `,"received":`...), s.Received, 10)
		dst = strconv.AppendInt(append(dst, `,"buffer":`...), s.Buffer, 10)
		dst = strconv.AppendInt(append(dst, `,"window":`...), s.Window, 10)
		if s.URL != "" {
			dst = jsonscan.AppendString(append(dst, `,"url":`...), s.URL)
		}
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

// Operation describes one operation in a registration.
type Operation struct {
	Name, Type, Description           string
	InputSchema, OutputSchema         json.RawMessage // nil if absent
	ErrorCodes                        []string
	RequiredScopes, RequiredScopesAny []string // these and the next two: of accessControl
	ResourceType, ResourceAction      string
}

// ParseOperation reads the description of an operation. It checks JSON types only. Nothing points into
// raw.
func ParseOperation(raw []byte) (Operation, error) {
	var op Operation
	var in, out, access []byte
	err := jsonscan.Decode(raw,
		jsonscan.StringField("name", &op.Name),
		jsonscan.StringField("type", &op.Type),
		jsonscan.StringField("description", &op.Description),
		jsonscan.RawField("inputSchema", &in),
		jsonscan.RawField("outputSchema", &out),
		jsonscan.StringsField("errorCodes", &op.ErrorCodes),
		jsonscan.ObjectField("accessControl", &access))
	if err != nil {
		return op, fmt.Errorf("operations: %w", err)
	}
	op.InputSchema, op.OutputSchema = in, out
	if access == nil {
		return op, nil
	}
	if err := jsonscan.Decode(access,
		jsonscan.StringsField("requiredScopes", &op.RequiredScopes),
		jsonscan.StringsField("requiredScopesAny", &op.RequiredScopesAny),
		jsonscan.StringField("resourceType", &op.ResourceType),
		jsonscan.StringField("resourceAction", &op.ResourceAction)); err != nil {
		return op, fmt.Errorf("operation %q: accessControl: %w", op.Name, err)
	}
	return op, nil
}
