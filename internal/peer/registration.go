package peer

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/jsonscan"
)

// OperationRegister is the first thing that a spoke calls (protocol section 4).
const OperationRegister = "hub.register"

// MaxSpokeIDBytes leaves room for the id in a topic of presence.
const MaxSpokeIDBytes = 128

// MaxInstanceIDBytes bounds what is one random id per process.
const MaxInstanceIDBytes = 128

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
	var inFlight int64
	attempt := int64(-1)
	err := jsonscan.Decode(input,
		jsonscan.StringField("spokeId", &r.SpokeID),
		jsonscan.StringField("instanceId", &r.InstanceID),
		jsonscan.IntField("attempt", &attempt),
		jsonscan.StringField("name", &r.Name),
		jsonscan.MapField("labels", &r.Labels),
		jsonscan.StringField("version", &r.Version),
		jsonscan.RawField("operations", &operations),
		jsonscan.IntField("maxInFlight", &inFlight),
		jsonscan.IntField("maxMessageBytes", &r.MaxMessageBytes),
		jsonscan.ObjectField("session", &session))
	if err != nil {
		return nil, err
	}
	r.MaxInFlight = int(min(max(inFlight, 0), 1<<20))
	switch {
	case r.InstanceID != "" && attempt < 0:
		return nil, errors.New("an instanceId goes with an attempt")
	case r.MaxMessageBytes < 0 || inFlight < 0:
		return nil, errors.New("maxMessageBytes and maxInFlight are not negative")
	case len(r.InstanceID) > MaxInstanceIDBytes:
		return nil, fmt.Errorf("instanceId is at most %d bytes", MaxInstanceIDBytes)
	case !ValidSpokeID(r.SpokeID):
		return nil, fmt.Errorf("spokeId is at most %d bytes without control characters", MaxSpokeIDBytes)
	}
	r.Attempt = max(attempt, 0)
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
	switch {
	case err != nil:
		return nil, fmt.Errorf("session: %w", err)
	case received < 0:
		return nil, errors.New("session.received is negative")
	case r.Buffer < 0:
		return nil, errors.New("session.buffer is negative")
	case r.Window < 0:
		return nil, errors.New("session.window is negative")
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
	switch {
	case err != nil:
	case received < 0 || a.Buffer < 0 || a.Window < 0:
		err = errors.New("a negative number")
	case a.ID == "" || len(a.ID) > maxSessionIDBytes:
		err = fmt.Errorf("session.id is not 1 to %d bytes", maxSessionIDBytes)
	}
	if err != nil {
		return nil, fmt.Errorf("session: %w", err)
	}
	a.Received = uint64(received)
	return a, nil
}

// ValidSpokeID reports whether the hub takes a spoke id: at most [MaxSpokeIDBytes] of UTF-8 without control
// characters. The empty one, which asks the hub for an id, is valid.
func ValidSpokeID(id string) bool {
	return len(id) <= MaxSpokeIDBytes &&
		!strings.ContainsFunc(id, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 || r == '\uFFFD' })
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
			return nil, fmt.Errorf("operation %q is there twice", op.Name)
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
	err := jsonscan.Decode(data,
		jsonscan.StringField("hubId", &r.HubID),
		jsonscan.StringField("spokeId", &r.SpokeID),
		jsonscan.StringField("connectionId", &r.ConnectionID),
		jsonscan.IntField("generation", &r.Generation),
		jsonscan.IntField("heartbeatInterval", &r.HeartbeatInterval),
		jsonscan.IntField("maxMessageBytes", &r.MaxMessageBytes),
		jsonscan.ObjectField("session", &session))
	if err != nil {
		return nil, err
	}
	if r.Session, err = parseSessionAnswer(session); err != nil {
		return nil, err
	}
	if r.SpokeID == "" || r.HeartbeatInterval < 0 || r.MaxMessageBytes < 0 {
		return nil, errors.New("the hub's answer names no spokeId, or a negative number")
	}
	return r, nil
}
