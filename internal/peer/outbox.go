package peer

import "github.com/alkdev/hubspoke/internal/session"

// outbox holds the sessions to which a reader has appended and not written yet: it writes when it has
// handled all that its connection has brought, so that frames for one connection go out together. It is the
// reader's alone.
type outbox struct{ due []*session.Session }

// add takes a session that is ready; see [session.Session.TryAppend].
func (o *outbox) add(s *session.Session) { o.due = append(o.due, s) }

func (o *outbox) flush() {
	for i, s := range o.due {
		s.FlushReady()
		o.due[i] = nil
	}
	o.due = o.due[:0]
}
