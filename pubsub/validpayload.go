package pubsub

import (
	"encoding/json"
	"fmt"

	"github.com/alkdev/hubspoke/internal/jsonscan"
)

// ValidPayload returns nil for a payload that can be published: nil, or one JSON value in UTF-8, nested
// at most 9,900 levels; a hub accepts 256 by default (hub.Options.MaxDepth). Otherwise its error
// wraps [ErrInvalidPayload] and names the reason. json.Marshal does not check the UTF-8 of a
// json.RawMessage, so what it returns may be refused.
func ValidPayload(payload json.RawMessage) error {
	if len(payload) == 0 {
		return nil
	}
	if err := jsonscan.Check(payload, maxDepth); err != nil {
		return fmt.Errorf("%w: it %w", ErrInvalidPayload, err)
	}
	return nil
}

// maxDepth is the deepest nesting that a hub can be configured to accept.
const maxDepth = 9900
