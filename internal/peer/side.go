package peer

import (
	"context"

	"github.com/rs/zerolog"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/wire"
)

// Side is the owner of a peer: what a hub or a spoke does with what arrives on one session, or a hub on one link. All
// methods but Serve run on the goroutine that reads and must not wait.
type Side interface {
	// Serve answers a request, on a goroutine of its own or, after [Peer.Start], on the one that reads. What it returns ends
	// the request, nil for success.
	Serve(ctx context.Context, in *Incoming) *call.Error
	// Route may take a unary request on the reader, before Serve gets it: see [Incoming.Relay]. If it returns false,
	// Serve gets the request.
	Route(in *Incoming) bool
	// Event takes an event. The payload is valid during the call only. If err is not nil, the payload is nested deeper
	// than Config.MaxDepth, and is not to be used; the event has been counted.
	Event(topic string, payload []byte, err error)
	// Control takes a well-formed control frame other than __ping, __pong, __ack and __skip, and reports whether it knew it.
	// The message is valid during the call only.
	Control(m *wire.Message) bool
	// Streams reports whether an operation answers with a stream if the request does not say.
	Streams(operation string) bool
	// MadeFor looks up the request that a parentRequestId names; see [Peer.MadeFor].
	MadeFor(id string) (in *Incoming, ok bool)
	// Ends names this side and the other one for errors: "hub h1", "spoke w1".
	Ends() (this, other string)
	// Log returns the log for the operator; its context names the connection.
	Log() *zerolog.Logger
}
