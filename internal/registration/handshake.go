package registration

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/jsonscan"
	"github.com/alkdev/hubspoke/internal/peer"
	"github.com/alkdev/hubspoke/internal/session"
	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/transport"
)

// The two frames that are exchanged before a session is attached: the
// registration and its answer. They are written to the connection directly.

// ErrNotRegistration is what Read fails with when the first frame is
// something else (protocol section 4: close with 4501).
var ErrNotRegistration = errors.New("the first frame is not a registration")

// ErrTooLarge is what a registration over the limit fails with.
var ErrTooLarge = errors.New("the registration is too large")

// Limits bound a registration. What is 0 is bounded by the message alone.
type Limits struct {
	Bytes int // of the input of hub.register
	Depth int // of the nesting of the input of hub.register; 0 is wire.DefaultMaxDepth
	// Sets, if not nil, is where equal operations are shared.
	Sets *OperationSets

	// Timeout bounds the time until [Read] has read a registration, after which it closes the connection; 0 is no
	// bound. It is extended only while bytes of an unfinished message arrive, at most by the time that Bytes take to cross the
	// slowest link.
	Timeout time.Duration
}

// Read reads the first frame of a spoke. A malformed one still has
// its id, so that it can be answered; err is then what is wrong with it. Pings before it
// are passed over, and do not extend the time.
func Read(conn transport.Conn, limits Limits) (id string, r *Registration, err error) {
	arrival := startArrival(conn, limits)
	defer arrival.stop()
	for {
		data, err := conn.Read()
		if err != nil {
			return "", nil, err
		}
		arrival.read()
		var m wire.Message
		switch err := wire.Parse(data, &m); {
		case err != nil:
			return "", nil, err
		case m.Type == wire.Ping:
			continue
		case m.Type != wire.Requested || errors.Is(m.Err, wire.ErrNoID) || m.Err == nil && string(m.Operation) != wire.OperationRegister:
			return "", nil, ErrNotRegistration
		case m.Err != nil:
			return string(m.ID), nil, m.Err
		}
		r, err := limits.Parse(m.Input)
		return string(m.ID), r, err
	}
}

// Parse is parse within the limits. It fails with [ErrTooLarge] too.
func (l Limits) Parse(input []byte) (*Registration, error) {
	if l.Bytes > 0 && len(input) > l.Bytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(input), l.Bytes)
	}
	depth := l.Depth
	if depth <= 0 {
		depth = wire.DefaultMaxDepth
	}
	if err := jsonscan.CheckDepth(input, depth); err != nil {
		return nil, fmt.Errorf("the registration %w", err)
	}
	return parse(input, l.Sets)
}

// refusalBytes bounds an error that is answered before the other side has announced what it takes.
const refusalBytes = 32 << 10

// WriteRefused answers a registration that is refused.
func WriteRefused(conn transport.Conn, id string, e *call.Error) error {
	return conn.Write([][]byte{wire.AppendFailed(nil, id, peer.Failure(e), refusalBytes)})
}

// registerID is the requestId of the first request of every connection.
const registerID = "register"

// Register sends the registration with the operations and reads its answer. The error is an
// *call.Error where the hub refused, otherwise what happened to the connection.
func Register(conn transport.Conn, r *wire.Registration, operations []call.Operation) (*wire.Registered, error) {
	req, err := Request(r, operations)
	if err != nil {
		return nil, err
	}
	frame := peer.AppendRequest(nil, registerID, req, 0, -1)
	if err := conn.Write([][]byte{frame}); err != nil {
		return nil, err
	}
	data, err := conn.Read()
	if err != nil {
		return nil, err
	}
	var m wire.Message
	if err := wire.Parse(data, &m); err != nil {
		return nil, err
	}
	switch {
	case m.Err != nil || string(m.ID) != registerID || m.Type != wire.Failed && m.Type != wire.Responded:
		return nil, fmt.Errorf("the hub's first frame, %s, does not answer the registration", m.Type)
	case m.Type == wire.Failed:
		return nil, peer.Error(&m.Failure)
	}
	return wire.ParseRegistered(m.Data)
}

// WriteRegistered answers a registration.
func WriteRegistered(conn transport.Conn, id string, r *wire.Registered) error {
	frame := session.NewBuffer(0) // conn does not keep it
	defer frame.Free()
	frame.B = wire.AppendResponded(frame.B, id, Output(r))
	return conn.Write([][]byte{frame.B})
}

// Output is the output of hub.register.
func Output(r *wire.Registered) []byte {
	return wire.AppendEnvelope(nil, r.AppendTo(nil), nil, wire.OperationRegister, time.Now())
}

// Request is the request of registering with the operations.
func Request(r *wire.Registration, operations []call.Operation) (*call.Request, error) {
	input, err := json.Marshal(struct {
		*wire.Registration
		Operations []call.Operation `json:"operations,omitempty"` // instead of the raw ones
	}{r, operations})
	if err != nil {
		return nil, fmt.Errorf("registration: %w", err)
	}
	return &call.Request{Operation: wire.OperationRegister, Input: input}, nil
}
