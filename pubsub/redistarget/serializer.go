package redistarget

import (
	"encoding/json"
	"fmt"

	"github.com/alkdev/hubspoke/pubsub"
)

// Serializer turns payloads into what travels in a Redis message and back. The
// default is [JSON]. Its methods are called concurrently.
type Serializer interface {
	// Encode gives the message of a payload; nil stands for null. It may return
	// payload itself. The target does not change either, and keeps the result
	// until Redis has answered.
	Encode(payload json.RawMessage) ([]byte, error)
	// Decode gives the payload of a message, nil for null. message belongs to the
	// callee. With an error the message is counted, and is a gap of one.
	Decode(message []byte) (json.RawMessage, error)
}

// JSON is the [Serializer] of the protocol: the message is the payload and
// nothing else. The empty message and null both mean null.
type JSON struct{}

var _ Serializer = JSON{}

var null = []byte("null")

// Encode returns payload, unchecked, or null for nil. It never fails.
func (JSON) Encode(payload json.RawMessage) ([]byte, error) {
	if len(payload) == 0 {
		return null, nil
	}
	return payload, nil
}

// Decode returns message, which must be one JSON value in valid UTF-8.
func (JSON) Decode(message []byte) (json.RawMessage, error) {
	if len(message) == 0 || string(message) == "null" {
		return nil, nil
	}
	if err := pubsub.ValidPayload(message); err != nil {
		return nil, fmt.Errorf("the message: %w", err)
	}
	return message, nil
}
