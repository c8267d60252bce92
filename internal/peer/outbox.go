package peer

import (
	"github.com/alkdev/hubspoke/internal/session"
	"github.com/alkdev/hubspoke/transport"
)

// outbox holds the sessions to which a reader has appended and not written yet: it writes when it has
// handed out all that its connection has brought, so that frames for one connection go out together. It is the
// reader's alone.
type outbox struct {
	gathers bool // the connection tells when
	due     []*session.Session
}

func (o *outbox) open(conn transport.Conn) {
	w, ok := conn.(transport.Waiter)
	o.gathers = ok && w.BeforeWait(o.flush)
}

func (o *outbox) close(conn transport.Conn) {
	o.flush()
	if o.gathers {
		conn.(transport.Waiter).BeforeWait(nil)
	}
}

// add takes a session that is ready; see [session.Session.TryAppend].
func (o *outbox) add(s *session.Session) {
	o.due = append(o.due, s)
	if !o.gathers {
		o.flush()
	}
}

func (o *outbox) flush() {
	for i, s := range o.due {
		s.FlushReady()
		o.due[i] = nil
	}
	o.due = o.due[:0]
}
