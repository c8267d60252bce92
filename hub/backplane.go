package hub

import (
	"context"
	"errors"

	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/transport"
)

// Backplane joins hubs. What is nil is memory of one hub, which then is alone in
// that respect. The hub does not close it; it outlives the hub.
type Backplane struct {
	// Events carries events to all hubs. If it implements [AsyncDispatcher], what
	// spokes publish goes that way.
	Events pubsub.EventTarget
	// Directory says where spokes are.
	Directory Directory
	// Links carry calls from hub to hub.
	Links Links
	// Health says how the backplane is; nil is always well.
	Health func() Health
}

// Health is the state of a backplane, or of a hub.
type Health struct {
	// Status is "ok", "degraded" or "draining".
	Status string `json:"status"`
	// Reasons say what is wrong where it is degraded.
	Reasons []string `json:"reasons,omitempty"`
}

// The values of Health.Status.
const (
	StatusOK       = "ok"
	StatusDegraded = "degraded"
	StatusDraining = "draining"
)

// AsyncDispatcher is what an event target may offer so that a connection's
// reader can publish: DispatchAsync never waits, keeps the order of its calls, and calls done
// once, on whatever goroutine, with what Dispatch would have returned. It is bounded in bytes.
type AsyncDispatcher interface {
	DispatchAsync(ev pubsub.Event, done func(error))
}

// Record says where a spoke is, and who it is.
type Record struct {
	SpokeID    string
	HubID      string
	Generation int64
	// IdentityID is who holds the spoke id.
	IdentityID string
	// InstanceID and Attempt tell a reconnect of one process from another process.
	InstanceID string
	Attempt    int64
}

// What [Directory.Claim] refuses with; any other error is the directory's own trouble.
var (
	// ErrHeld says that the id is held by another identity on another hub.
	ErrHeld = errors.New("hub: the id is held by another identity")
	// ErrSuperseded says that a newer connection of the same instance is there.
	ErrSuperseded = errors.New("hub: the spoke has a newer connection")
	// ErrHubIDInUse says that another hub has the id.
	ErrHubIDInUse = errors.New("hub: the hub id is in use")
)

// Directory says which hub holds a spoke, which hubs serve an operation, and
// which hubs there are. All methods may be called concurrently; ctx bounds them. Spoke, Providers
// and Hubs are asked for every call to another hub, so a directory bounds them by itself, too, at a few seconds.
type Directory interface {
	// Join enters a hub. lost is called, on a goroutine of the directory's own, when another hub has
	// taken over a spoke that this one claimed; newer is its record. It may block. Leave takes the hub
	// and everything that it registered out, and returns when lost is not called any more. The error is
	// [ErrHubIDInUse], or the directory's own.
	Join(ctx context.Context, hubID string, lost func(newer Record)) (leave func(context.Context), err error)
	// Claim records that the hub rec.HubID holds the spoke from now on and gives
	// the registration its generation, higher than any before it for that id (rec.Generation is not
	// looked at). The hub that held it is told. The error is [ErrHeld], [ErrSuperseded], or the directory's own.
	// With one of its own it may give a generation nonetheless: then it remembers the claim, the hub
	// counts on with that generation, and the claim is settled under it when that can be done. The higher
	// generation then wins, and lost is called at the hub that has the other.
	Claim(ctx context.Context, rec Record) (generation int64, err error)
	// Release removes the record if its generation is still the one given;
	// otherwise it does nothing.
	Release(ctx context.Context, hubID, spokeID string, generation int64) error
	// Spoke gives the record of a spoke, and whether there is one.
	Spoke(ctx context.Context, spokeID string) (Record, bool, error)
	// Provide and Withdraw say that a hub has its first, or lost its last,
	// provider of an operation. Both are idempotent.
	Provide(ctx context.Context, hubID, operation string) error
	Withdraw(ctx context.Context, hubID, operation string) error
	// Providers gives the ids of the hubs that serve the operation.
	Providers(ctx context.Context, operation string) ([]string, error)
	// Hubs gives the ids of all hubs.
	Hubs(ctx context.Context) ([]string, error)
}

// Watched is what the Conn of a link may offer. Watch, which is called at most once, before
// the first Read, says how to find out whether any call is in flight on the link: while that is so the
// Conn makes sure that the other side is there. busy may be called at any time and does not wait.
type Watched interface {
	Watch(busy func() bool)
}

// Links carry frames between hubs: one connection for each pair, used in both
// directions. A Conn of a link ends when the link is reset; then a new one is dialled.
type Links interface {
	// Join enters a hub. accept is called when another hub has dialled, on a
	// goroutine of its own; the Conn is then the hub's. Leave ends all the hub's links.
	Join(hubID string, accept func(hubID string, conn transport.Conn)) (leave func(), err error)
	// Dial opens a link from the hub to another. It does not wait for the other
	// side; a hub that is not there shows in the Conn's end. A pair may have more than one link for a while,
	// where both dial.
	Dial(ctx context.Context, from, to string) (transport.Conn, error)
}
