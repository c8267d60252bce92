package peer

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/jsonscan"
	"github.com/alkdev/hubspoke/pubsub"
)

// OperationRegister is the first thing that a spoke calls (protocol section 4).
const OperationRegister = "hub.register"

// MaxSpokeIDBytes leaves room for the id in a topic of presence.
const MaxSpokeIDBytes = 128

// Registration is what a spoke says of itself.
type Registration struct {
	SpokeID         string            `json:"spokeId,omitempty"`
	InstanceID      string            `json:"instanceId,omitempty"`
	Attempt         int64             `json:"attempt"` // 0 too: an instanceId goes with an attempt
	Name            string            `json:"name,omitempty"`
	Labels          map[string]string `json:"labels,omitempty"`
	Version         string            `json:"version,omitempty"`
	Operations      []call.Operation  `json:"operations,omitempty"`
	MaxInFlight     int               `json:"maxInFlight,omitempty"`
	MaxMessageBytes int64             `json:"maxMessageBytes,omitempty"`
	MaxDepth        int               `json:"maxDepth,omitempty"`
	Session         *SessionRequest   `json:"session,omitempty"`

	// Offer holds Operations where the registration was parsed and has any. Others may share it.
	Offer *Offer `json:"-"`
}

// SessionRequest asks for a new session, or, with an ID, offers one to be resumed (protocol section 8).
type SessionRequest struct {
	ID       string `json:"id,omitempty"`
	Received uint64 `json:"received,omitempty"` // of the session with the ID
	Window   int64  `json:"window,omitempty"`   // milliseconds; 0: the hub's
	Buffer   int64  `json:"buffer,omitempty"`   // limit of the spoke's queue in bytes; 0: [session.DefaultBufferBytes]
}

// SessionAnswer describes the session of the connection. It was resumed if its ID is the one that was offered.
type SessionAnswer struct {
	ID       string `json:"id"`
	Received uint64 `json:"received"`
	Buffer   int64  `json:"buffer"` // limit of the hub's queue in bytes; 0: [session.DefaultBufferBytes]
	Window   int64  `json:"window"` // milliseconds
	URL      string `json:"url,omitempty"`
}

// Registered is what the hub answers.
type Registered struct {
	HubID             string `json:"hubId"`
	SpokeID           string `json:"spokeId"`
	ConnectionID      string `json:"connectionId"`
	Generation        int64  `json:"generation"`
	HeartbeatInterval int64  `json:"heartbeatInterval"` // milliseconds
	MaxMessageBytes   int64  `json:"maxMessageBytes"`
	MaxDepth          int    `json:"maxDepth"`
	// MaxRegistrationBytes and MaxOperations are what the hub takes of a registration; 0 is unknown.
	MaxRegistrationBytes int `json:"maxRegistrationBytes"`
	MaxOperations        int `json:"maxOperations"`

	Session *SessionAnswer `json:"session,omitempty"`
}

// ParseRegistration reads the input of hub.register. The operations' schemas are
// copies; nothing aliases input.
func ParseRegistration(input []byte) (*Registration, error) { return parseRegistration(input, nil) }

func parseRegistration(input []byte, offers *Offers) (*Registration, error) {
	r := &Registration{}
	if len(input) == 0 {
		return r, nil
	}
	var operations, session []byte
	var attempt, inFlight, maxDepth int64
	var hasAttempt bool
	err := jsonscan.Decode(input,
		jsonscan.StringField("spokeId", &r.SpokeID),
		jsonscan.StringField("instanceId", &r.InstanceID),
		jsonscan.Field{Name: "attempt", Set: func(raw []byte) error {
			hasAttempt = !jsonscan.IsNull(raw)
			return jsonscan.IntField("", &attempt).Set(raw)
		}},
		jsonscan.StringField("name", &r.Name),
		jsonscan.MapField("labels", &r.Labels),
		jsonscan.StringField("version", &r.Version),
		jsonscan.RawField("operations", &operations),
		jsonscan.IntField("maxInFlight", &inFlight),
		jsonscan.IntField("maxMessageBytes", &r.MaxMessageBytes),
		jsonscan.IntField("maxDepth", &maxDepth),
		jsonscan.ObjectField("session", &session))
	if err != nil {
		return nil, err
	}
	r.MaxInFlight = int(min(max(inFlight, 0), 1<<20))
	r.MaxDepth = int(min(max(maxDepth, 0), MaxMaxDepth))
	if r.InstanceID != "" && !hasAttempt {
		return nil, errors.New("an instanceId requires an attempt")
	}
	if err := notNegative("", member{"attempt", attempt}, member{"maxInFlight", inFlight},
		member{"maxMessageBytes", r.MaxMessageBytes}, member{"maxDepth", maxDepth}); err != nil {
		return nil, err
	}
	if err := r.Validate(); err != nil {
		return nil, err
	}
	r.Attempt = attempt
	if r.Session, err = parseSessionRequest(session); err != nil {
		return nil, err
	}
	if r.Session != nil && r.InstanceID == "" {
		return nil, errors.New("a session needs an instanceId and an attempt")
	}
	if operations != nil && !jsonscan.IsNull(operations) {
		if r.Offer, err = offers.parse(operations); err != nil {
			return nil, err
		}
		r.Operations = r.Offer.Operations
	}
	return r, nil
}

// member is an integer of a message.
type member struct {
	name  string
	value int64
}

// notNegative names the first member that is negative.
func notNegative(prefix string, members ...member) error {
	for _, m := range members {
		if m.value < 0 {
			return fmt.Errorf("%s%s is negative: %d", prefix, m.name, m.value)
		}
	}
	return nil
}

// maxSessionIDBytes bounds a session's id, which hubs make.
const maxSessionIDBytes = 128

func parseSessionRequest(raw []byte) (*SessionRequest, error) {
	if raw == nil || jsonscan.IsNull(raw) {
		return nil, nil
	}
	r := &SessionRequest{}
	var received int64
	var id []byte
	err := jsonscan.Decode(raw, jsonscan.RawField("id", &id), jsonscan.IntField("received", &received),
		jsonscan.IntField("window", &r.Window), jsonscan.IntField("buffer", &r.Buffer))
	if err != nil {
		return nil, fmt.Errorf("session: %w", err)
	}
	if err := notNegative("session.", member{"received", received}, member{"buffer", r.Buffer}, member{"window", r.Window}); err != nil {
		return nil, err
	}
	if id != nil && !jsonscan.IsNull(id) {
		var ok bool
		if r.ID, ok = jsonscan.String(id); !ok || r.ID == "" || len(r.ID) > maxSessionIDBytes {
			return nil, fmt.Errorf("session.id is not a string of 1 to %d bytes; leave it out to ask for a new session", maxSessionIDBytes)
		}
	}
	r.Received = uint64(received)
	return r, nil
}

func parseSessionAnswer(raw []byte) (*SessionAnswer, error) {
	if raw == nil || jsonscan.IsNull(raw) {
		return nil, nil
	}
	a := &SessionAnswer{}
	var received int64
	err := jsonscan.Decode(raw, jsonscan.StringField("id", &a.ID), jsonscan.IntField("received", &received),
		jsonscan.IntField("buffer", &a.Buffer), jsonscan.IntField("window", &a.Window), jsonscan.StringField("url", &a.URL))
	if err == nil {
		err = notNegative("", member{"received", received}, member{"buffer", a.Buffer}, member{"window", a.Window})
	}
	switch {
	case err != nil:
	case a.ID == "" || len(a.ID) > maxSessionIDBytes:
		err = fmt.Errorf("session.id is not 1 to %d bytes", maxSessionIDBytes)
	}
	if err != nil {
		return nil, fmt.Errorf("session: %w", err)
	}
	a.Received = uint64(received)
	return a, nil
}

// Validate checks what the hub checks besides the operations, so that a spoke finds out when it is made.
func (r *Registration) Validate() error {
	if err := CheckName("spokeId", r.SpokeID); err != nil {
		return err
	}
	if err := pubsub.ValidTopic(r.SpokeID); r.SpokeID != "" && err != nil { // it becomes part of topics
		return fmt.Errorf("spokeId: %w", err)
	}
	if err := CheckName("instanceId", r.InstanceID); err != nil {
		return err
	}
	for name, text := range map[string]string{"name": r.Name, "version": r.Version} {
		if !utf8.ValidString(text) {
			return fmt.Errorf("%s %q is not UTF-8", name, text)
		}
	}
	for label, value := range r.Labels {
		if !utf8.ValidString(label) || !utf8.ValidString(value) {
			return fmt.Errorf("label %q with the value %q is not UTF-8", label, value)
		}
	}
	return nil
}

// CheckName checks an id of a spoke, an instance or a hub; it may be empty.
func CheckName(what, id string) error {
	if len(id) > MaxSpokeIDBytes {
		return fmt.Errorf("%s has %d bytes; the limit is %d", what, len(id), MaxSpokeIDBytes)
	}
	if strings.ContainsFunc(id, func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError }) {
		return fmt.Errorf("%s %q is not UTF-8 without control characters", what, id)
	}
	return nil
}

func parseOperations(raw []byte) ([]call.Operation, error) {
	var ops []call.Operation
	names := map[string]bool{}
	a := jsonscan.OpenArray(raw)
	for a.Next() {
		op, err := ParseOperation(a.Value())
		if err != nil {
			return nil, err
		}
		if names[op.Name] {
			return nil, fmt.Errorf("duplicate operation %q", op.Name)
		}
		if strings.HasPrefix(op.Name, "hub.") {
			return nil, fmt.Errorf("operation %q: names that begin with hub. are the hub's", op.Name)
		}
		names[op.Name] = true
		ops = append(ops, op)
	}
	return ops, a.Err()
}

// ParseOperation reads the description of an operation. Nothing aliases raw.
func ParseOperation(raw []byte) (call.Operation, error) {
	var op call.Operation
	var typ string
	var in, out, access []byte
	err := jsonscan.Decode(raw,
		jsonscan.StringField("name", &op.Name),
		jsonscan.StringField("type", &typ),
		jsonscan.StringField("description", &op.Description),
		jsonscan.RawField("inputSchema", &in),
		jsonscan.RawField("outputSchema", &out),
		jsonscan.StringsField("errorCodes", &op.ErrorCodes),
		jsonscan.ObjectField("accessControl", &access))
	if err != nil {
		return op, fmt.Errorf("operations: %w", err)
	}
	op.Type = call.Type(typ)
	if typ == "" {
		op.Type = call.Query
	}
	op.InputSchema, op.OutputSchema = present(in), present(out)
	if access != nil && !jsonscan.IsNull(access) {
		if err := jsonscan.Decode(access,
			jsonscan.StringsField("requiredScopes", &op.Access.RequiredScopes),
			jsonscan.StringsField("requiredScopesAny", &op.Access.RequiredScopesAny),
			jsonscan.StringField("resourceType", &op.Access.ResourceType),
			jsonscan.StringField("resourceAction", &op.Access.ResourceAction)); err != nil {
			return op, fmt.Errorf("operation %q: accessControl: %w", op.Name, err)
		}
	}
	return op, op.Validate()
}

func present(raw []byte) json.RawMessage {
	if raw == nil || jsonscan.IsNull(raw) {
		return nil
	}
	return append(json.RawMessage(nil), raw...)
}

// ParseRegistered reads the data of the hub's answer.
func ParseRegistered(data []byte) (*Registered, error) {
	r := &Registered{}
	var session []byte
	var maxDepth, registrationBytes, operations int64
	err := jsonscan.Decode(data,
		jsonscan.StringField("hubId", &r.HubID),
		jsonscan.StringField("spokeId", &r.SpokeID),
		jsonscan.StringField("connectionId", &r.ConnectionID),
		jsonscan.IntField("generation", &r.Generation),
		jsonscan.IntField("heartbeatInterval", &r.HeartbeatInterval),
		jsonscan.IntField("maxMessageBytes", &r.MaxMessageBytes),
		jsonscan.IntField("maxDepth", &maxDepth),
		jsonscan.IntField("maxRegistrationBytes", &registrationBytes),
		jsonscan.IntField("maxOperations", &operations),
		jsonscan.ObjectField("session", &session))
	if err != nil {
		return nil, err
	}
	if r.Session, err = parseSessionAnswer(session); err != nil {
		return nil, err
	}
	if r.SpokeID == "" {
		return nil, errors.New("the hub's answer has no spokeId")
	}
	if err := notNegative("", member{"heartbeatInterval", r.HeartbeatInterval}, member{"maxMessageBytes", r.MaxMessageBytes},
		member{"maxDepth", maxDepth}, member{"maxRegistrationBytes", registrationBytes}, member{"maxOperations", operations}); err != nil {
		return nil, err
	}
	r.MaxDepth = int(min(maxDepth, MaxMaxDepth))
	r.MaxRegistrationBytes = int(min(registrationBytes, math.MaxInt32))
	r.MaxOperations = int(min(operations, math.MaxInt32))
	return r, nil
}
