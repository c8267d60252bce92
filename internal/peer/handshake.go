package peer

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/jsonscan"
	"github.com/alkdev/hubspoke/transport"
)

// The two frames that are exchanged before a session is attached: the
// registration and its answer. They are written to the connection directly.

// ErrNotRegistration is what ReadRegistration fails with when the first frame is
// something else (protocol section 4: close with 4501).
var ErrNotRegistration = errors.New("the first frame is not a registration")

// ErrRegistrationTooLarge is what a registration over the limit fails with.
var ErrRegistrationTooLarge = errors.New("the registration is too large")

// Limits bound a registration. What is 0 is bounded by the message alone.
type Limits struct {
	Bytes int // of the input of hub.register
	Depth int // of the nesting of the input of hub.register; 0 is DefaultMaxDepth
	// Offers, if not nil, is with whom the operations are shared.
	Offers *Offers

	// Timeout bounds the time until [ReadRegistration] has read a registration; 0 is no bound. It is extended only while
	// bytes of an unfinished message arrive, at most by the time that Bytes take to cross the slowest link.
	Timeout time.Duration
	// Late is called, on a goroutine of its own, when that time is over. It must unblock the connection's Read.
	Late func()
}

// ReadRegistration reads the first frame of a spoke. A malformed one still gives
// its id, so that it can be answered; err is then what is wrong with it. Pings before it
// are passed over, and do not extend the time.
func ReadRegistration(conn transport.Conn, limits Limits) (id string, r *Registration, err error) {
	arrival := startArrival(conn, limits)
	defer arrival.stop()
	for {
		data, err := conn.Read()
		if err != nil {
			return "", nil, err
		}
		arrival.read()
		f, err := transport.ParseFrame(data)
		switch {
		case err != nil:
			return "", nil, err
		case f.Type == TypePing:
			continue
		case f.Type != call.EventRequested:
			return "", nil, ErrNotRegistration
		}
		return parseFirst(f.Payload, limits)
	}
}

func parseFirst(payload []byte, limits Limits) (string, *Registration, error) {
	w, err := parseRequest(payload, time.Now(), &identityMemo{})
	if errors.Is(err, errNoID) || w.req.Operation != OperationRegister && err == nil {
		return "", nil, ErrNotRegistration
	}
	if err != nil {
		return w.req.ID, nil, err
	}
	r, err := limits.Parse(w.req.Input)
	return w.req.ID, r, err
}

// Parse is [ParseRegistration] within the limits. It fails with [ErrRegistrationTooLarge] too.
func (l Limits) Parse(input []byte) (*Registration, error) {
	if l.Bytes > 0 && len(input) > l.Bytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrRegistrationTooLarge, len(input), l.Bytes)
	}
	depth := l.Depth
	if depth <= 0 {
		depth = DefaultMaxDepth
	}
	if err := jsonscan.CheckDepth(input, depth); err != nil {
		return nil, fmt.Errorf("the registration %w", err)
	}
	return parseRegistration(input, l.Offers)
}

// WriteRefused answers a registration that is refused.
func WriteRefused(conn transport.Conn, id string, e *call.Error) error {
	return conn.Write([][]byte{appendErrorWithin(nil, id, e, refusalBytes)})
}

// registerID is the requestId of the first request of every connection.
const registerID = "register"

// Register sends the registration and reads its answer. The error is an
// *call.Error where the hub refused, otherwise what happened to the connection.
func Register(conn transport.Conn, r *Registration) (*Registered, error) {
	input, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("registration: %w", err)
	}
	req := &call.Request{Operation: OperationRegister, Input: input}
	frame := appendRequest(nil, registerID, req, 0, -1)
	if err := conn.Write([][]byte{frame}); err != nil {
		return nil, err
	}
	data, err := conn.Read()
	if err != nil {
		return nil, err
	}
	f, err := transport.ParseFrame(data)
	if err != nil {
		return nil, err
	}
	a, err := parseAnswer(f.Type, f.Payload)
	switch {
	case err != nil || string(a.id) != registerID:
		return nil, fmt.Errorf("the hub's first frame, %s, does not answer the registration", f.Type)
	case f.Type == call.EventError:
		return nil, call.ParseError(a.payload)
	case f.Type != call.EventResponded:
		return nil, fmt.Errorf("the hub's first frame, %s, does not answer the registration", f.Type)
	}
	return ParseRegistered(call.ParseEnvelope(a.output).Data)
}

// RegisterRequest is the request of registering again on a live connection.
func RegisterRequest(r *Registration) (*call.Request, error) {
	input, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("registration: %w", err)
	}
	return &call.Request{Operation: OperationRegister, Input: input}, nil
}
