package wire

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/alkdev/hubspoke/internal/jsonscan"
)

// ErrNotFrame is wrapped by the errors of [Parse]. The receiver closes the connection with 1007.
var ErrNotFrame = errors.New("not a frame")

// ErrNoID is the Err of a message that must name a request and does not: nothing can be answered.
var ErrNoID = errors.New("no requestId of 1 to 128 bytes")

// Message is one message, taken apart. Which members are set depends on the type; the others are zero.
// Slices point into the data that was parsed, unless a text has an escape.
type Message struct {
	Type Type
	// Err is what is wrong with the payload. It concerns this message alone. Members before the offence
	// are set, ID in particular. It is ErrNoID if there is no usable ID.
	Err error

	// Topic is the topic of an event and of Subscribe, Subscribed, Unsubscribe, Denied and Gap, and the
	// text of an unknown type.
	Topic []byte
	// Payload is that of an event, as JSON; nil is null.
	Payload []byte
	// Depth is how deep the deepest value is nested: of Payload, Input, Metadata, Data or Details.
	Depth int

	// ID is the requestId of all that concerns a call.
	ID []byte
	// OtherIDs has the further ids of a message that names requestId more than once.
	OtherIDs [][]byte

	Request // of Requested
	Answer  // of Responded

	// Failure is that of Failed.
	Failure Failure

	Reason     []byte // of Aborted
	Credit     int    // of Credited, and of Requested: -1 if it has none
	Received   uint64 // of Ack
	RetryAfter int64  // of Drain, in milliseconds
	Dropped    int    // of Gap
	Action     []byte // of Denied
	Code, Text []byte // of Denied
}

// Parse takes a message apart. It returns an error that wraps [ErrNotFrame] if data is not a frame
// (protocol section 2); what else is wrong is in m.Err.
func Parse(data []byte, m *Message) error {
	*m = Message{Credit: -1}
	if !utf8.Valid(data) {
		return fmt.Errorf("%w: not UTF-8", ErrNotFrame)
	}
	c := jsonscan.Read(data)
	if !c.Object() {
		if err := c.End(); err != nil {
			return fmt.Errorf("%w: %w", ErrNotFrame, err)
		}
		return fmt.Errorf("%w: not a JSON object", ErrNotFrame)
	}
	var haveType, havePayload bool
	var before []byte // a payload before the type
	for c.Member() {
		switch string(c.Name()) {
		case "type":
			if haveType {
				return fmt.Errorf("%w: duplicate member \"type\"", ErrNotFrame)
			}
			haveType = true
			if err := m.readType(&c); err != nil {
				return fmt.Errorf("%w: %w", ErrNotFrame, err)
			}
		case "payload":
			if havePayload {
				return fmt.Errorf("%w: duplicate member \"payload\"", ErrNotFrame)
			}
			havePayload = true
			if haveType {
				m.readPayload(&c)
			} else {
				before = c.Value()
			}
		}
	}
	if err := c.End(); err != nil {
		return fmt.Errorf("%w: %w", ErrNotFrame, err)
	}
	if !haveType {
		return fmt.Errorf("%w: no type", ErrNotFrame)
	}
	if before != nil {
		c = jsonscan.Read(before)
		m.readPayload(&c)
	} else if !havePayload {
		c = jsonscan.Read(null)
		m.readPayload(&c)
	}
	return nil
}

var null = []byte("null")

func (m *Message) readType(c *jsonscan.Cursor) (err error) {
	text, ok := c.Text()
	if !ok {
		if c.Kind() == 0 { // no JSON value at all: End returns the error
			return nil
		}
		return errors.New("type is not a string")
	}
	if m.Type, err = typeOf(text); m.Type == Event || m.Type == Unknown {
		m.Topic = text
	}
	return err
}

// readPayload reads the payload, whose type is known.
func (m *Message) readPayload(c *jsonscan.Cursor) {
	switch m.Type {
	case Event, Unknown:
		if m.Payload = c.Value(); jsonscan.IsNull(m.Payload) {
			m.Payload = nil
		}
		m.Depth = c.Depth()
	case Ping, Pong, Skip:
	default:
		m.readMembers(c)
	}
}
