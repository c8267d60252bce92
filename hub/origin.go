package hub

import (
	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/alkdev/hubspoke/call"
)

// origin is who dialled a connection, and from where. It lives as long as its
// session, so it holds nothing of the handshake.
type origin struct {
	identity   *call.Identity
	connection uuid.UUID
	remote     string
}

// Run implements [zerolog.Hook]. A hook, and not a context of the logger, since that
// would be half a kilobyte for each connection, most of which never log.
func (o *origin) Run(e *zerolog.Event, _ zerolog.Level, _ string) {
	e.Stringer("connection", o.connection).Str("remote", o.remote).Str("identity", o.identity.ID)
}

func (h *Hub) logOf(o *origin) *zerolog.Logger {
	log := h.log.Hook(o)
	return &log
}

// spokeFields names the spoke, and its connection of the moment, in a log line.
type spokeFields struct{ c *conn }

// Run implements [zerolog.Hook].
func (f spokeFields) Run(e *zerolog.Event, level zerolog.Level, msg string) {
	if o := f.c.origin.Load(); o != nil {
		o.Run(e, level, msg)
	}
	e.Str("spoke", f.c.id)
}

func (c *conn) Log() *zerolog.Logger {
	log := c.hub.log.Hook(spokeFields{c})
	return &log
}
