package wire

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/alkdev/hubspoke/internal/jsonscan"
)

// member is a member of a payload.
type member uint8

const (
	requestID member = iota
	operationID
	input
	stream
	credit
	to
	selector
	timeout
	deadline
	idleTimeout
	failFast
	originID
	parentRequestID
	identity
	metadata
	output
	code
	message
	retryable
	details
	reason
	received
	retryAfter
	topic
	action
	dropped
	none
)

var memberNames = [none]string{
	requestID: "requestId", operationID: "operationId", input: "input", stream: "stream", credit: "credit", to: "to",
	selector: "selector", timeout: "timeout", deadline: "deadline", idleTimeout: "idleTimeout", failFast: "failFast",
	originID: "originId", parentRequestID: "parentRequestId", identity: "identity", metadata: "metadata", output: "output",
	code: "code", message: "message", retryable: "retryable", details: "details", reason: "reason", received: "received",
	retryAfter: "retryAfter", topic: "topic", action: "action", dropped: "dropped",
}

// defined has a bit for each member that the type defines; all others are ignored.
var defined = [...]uint32{
	Requested: set(requestID, operationID, input, stream, credit, to, selector, timeout, deadline, idleTimeout, failFast,
		originID, parentRequestID, identity, metadata),
	Responded:   set(requestID, output),
	Completed:   set(requestID),
	Failed:      set(requestID, code, message, retryable, details),
	Aborted:     set(requestID, reason),
	Credited:    set(requestID, credit),
	Ack:         set(received),
	Drain:       set(retryAfter),
	Subscribe:   set(topic),
	Subscribed:  set(topic),
	Unsubscribe: set(topic),
	Denied:      set(action, topic, code, message),
	Gap:         set(topic, dropped),
}

func set(members ...member) (bits uint32) {
	for _, m := range members {
		bits |= 1 << m
	}
	return bits
}

// memberOf returns the member with this name, and none if the protocol has none.
func memberOf(name []byte) member {
	switch string(name) {
	case "requestId":
		return requestID
	case "operationId":
		return operationID
	case "input":
		return input
	case "stream":
		return stream
	case "credit":
		return credit
	case "to":
		return to
	case "selector":
		return selector
	case "timeout":
		return timeout
	case "deadline":
		return deadline
	case "idleTimeout":
		return idleTimeout
	case "failFast":
		return failFast
	case "originId":
		return originID
	case "parentRequestId":
		return parentRequestID
	case "identity":
		return identity
	case "metadata":
		return metadata
	case "output":
		return output
	case "code":
		return code
	case "message":
		return message
	case "retryable":
		return retryable
	case "details":
		return details
	case "reason":
		return reason
	case "received":
		return received
	case "retryAfter":
		return retryAfter
	case "topic":
		return topic
	case "action":
		return action
	case "dropped":
		return dropped
	}
	return none
}

// readMembers reads the members of a payload that is an object.
func (m *Message) readMembers(c *jsonscan.Cursor) {
	var seen uint32
	if !c.Object() {
		if m.Type != Drain || c.Kind() != 'n' { // a spoke's has no payload
			m.Err = errNotObject
		}
		c.Skip()
	} else {
		for c.Member() {
			name := memberOf(c.Name())
			bit := uint32(1) << name & defined[m.Type]
			switch {
			case bit == 0: // not defined: skipped
			case seen&bit != 0:
				if name == requestID { // each could be meant
					if id, ok := c.Text(); ok {
						m.OtherIDs = append(m.OtherIDs, id)
					}
				}
				m.fail(fmt.Errorf("duplicate member %q", memberNames[name]))
			default:
				seen |= bit
				if err := m.read(name, c); err != nil {
					m.fail(err)
				}
			}
		}
	}
	if m.Type == Failed {
		m.Failure.defaults()
	}
	switch {
	case defined[m.Type]&(1<<requestID) != 0 && len(m.ID) == 0:
		m.Err = ErrNoID
	case m.Type == Requested && len(m.Operation) == 0:
		m.fail(errors.New("no operationId"))
	case m.Type == Credited && m.Credit < 0:
		m.fail(errors.New("no credit"))
	case m.Type != Denied && defined[m.Type]&(1<<topic) != 0 && len(m.Topic) == 0:
		m.fail(errors.New("no topic"))
	}
}

// fail notes the first thing that is wrong.
func (m *Message) fail(err error) {
	if m.Err == nil {
		m.Err = err
	}
}

var errNotObject = errors.New("the payload is not an object")

// read reads the value of a member. Null counts as absent, except where any value is allowed.
func (m *Message) read(name member, c *jsonscan.Cursor) (err error) {
	switch name {
	case input:
		if m.Input = c.Value(); jsonscan.IsNull(m.Input) {
			m.Input = nil
		}
		m.Depth = max(m.Depth, c.Depth())
		return nil
	case output:
		m.Depth = m.Answer.read(c)
		return nil
	}
	if c.Kind() == 'n' {
		return nil
	}
	switch name {
	case requestID:
		if id, ok := c.Text(); ok && len(id) <= MaxIDBytes {
			m.ID = id
		}
	case operationID:
		m.Operation, err = text(c, name, MaxNameBytes)
	case to:
		m.To, err = text(c, name, MaxNameBytes)
	case originID:
		m.OriginID, err = text(c, name, MaxIDBytes)
	case parentRequestID:
		m.ParentID, err = text(c, name, MaxIDBytes)
	case stream:
		m.Stream, err = boolean(c, name)
		m.HasStream = true
	case failFast:
		m.FailFast, err = boolean(c, name)
	case credit:
		m.Credit, err = count(c, name)
	case timeout:
		m.timeout, err = milliseconds(c, name)
		m.timeout = max(m.timeout, time.Nanosecond)
	case idleTimeout:
		m.IdleTimeout, err = milliseconds(c, name)
	case deadline:
		var ok bool
		if m.deadline, ok = jsonscan.Int(c.Value()); !ok {
			err = errors.New("deadline is not an integer, in milliseconds")
		}
		m.hasDeadline = true
	case selector:
		m.Selector, err = object(c, name)
	case identity:
		m.Identity, err = object(c, name)
	case metadata:
		m.Metadata, err = object(c, name)
		m.Depth = max(m.Depth, c.Depth())
	case code, message, retryable, details, action:
		if m.Type == Denied {
			return m.readDenied(name, c)
		}
		m.Depth = max(m.Depth, m.Failure.read(name, c))
	case reason:
		m.Reason, _ = c.Text()
	case topic:
		m.Topic, err = text(c, name, math.MaxInt)
	case received:
		var n int64
		if n, err = integer(c, name); n < 0 {
			err = errors.New("received is negative")
		}
		m.Received = uint64(n)
	case retryAfter:
		m.RetryAfter, err = integer(c, name)
	case dropped:
		var n int64
		n, err = integer(c, name)
		m.Dropped = int(min(max(n, 0), math.MaxInt32))
	}
	return err
}

func (m *Message) readDenied(name member, c *jsonscan.Cursor) (err error) {
	switch name {
	case action:
		m.Action, err = text(c, name, math.MaxInt)
	case code:
		m.Code, err = text(c, name, math.MaxInt)
	case message:
		m.Text, err = text(c, name, math.MaxInt)
	}
	return err
}

func text(c *jsonscan.Cursor, name member, limit int) ([]byte, error) {
	v, ok := c.Text()
	switch {
	case ok && len(v) <= limit:
		return v, nil
	case limit == math.MaxInt:
		return nil, fmt.Errorf("%s is not a string", memberNames[name])
	}
	return nil, fmt.Errorf("%s is not a string of at most %d bytes", memberNames[name], limit)
}

func boolean(c *jsonscan.Cursor, name member) (bool, error) {
	v, ok := jsonscan.Bool(c.Value())
	if !ok {
		return false, fmt.Errorf("%s is not a boolean", memberNames[name])
	}
	return v, nil
}

func object(c *jsonscan.Cursor, name member) ([]byte, error) {
	if c.Kind() != '{' {
		return nil, fmt.Errorf("%s is not an object", memberNames[name])
	}
	return c.Value(), nil
}

func integer(c *jsonscan.Cursor, name member) (int64, error) {
	n, ok := jsonscan.Int(c.Value())
	if !ok {
		return 0, fmt.Errorf("%s is not an integer", memberNames[name])
	}
	return n, nil
}

func count(c *jsonscan.Cursor, name member) (int, error) {
	n, ok := jsonscan.Int(c.Value())
	if !ok || n < 0 {
		return 0, fmt.Errorf("%s is not an integer from 0", memberNames[name])
	}
	return int(min(n, 1<<30)), nil
}

// maxMillis keeps durations from overflowing: a hundred years.
const maxMillis = 100 * 365 * 24 * 3600 * 1000

func milliseconds(c *jsonscan.Cursor, name member) (time.Duration, error) {
	n, ok := jsonscan.Int(c.Value())
	switch {
	case !ok:
		return 0, fmt.Errorf("%s is not an integer, in milliseconds", memberNames[name])
	case n < 0 && name == idleTimeout:
		return 0, fmt.Errorf("idleTimeout is negative: %d", n)
	}
	return time.Duration(min(max(n, 0), maxMillis)) * time.Millisecond, nil
}
