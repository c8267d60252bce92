package peer

import (
	"github.com/alkdev/hubspoke/internal/session"
	"github.com/alkdev/hubspoke/transport"
)

// outbox holds the sessions to which a reader has appended and not written yet, so that frames for one connection
// are written together. It is the reader's alone.
type outbox struct {
	ready    []*session.Session
	gathered int // messages that were read since ready was written
}

// maxGathered bounds the messages that are read before frames are written, on a connection on which there is always another.
const maxGathered = 512

// add takes a session that is ready; see [session.Session.TryAppend].
func (o *outbox) add(s *session.Session) { o.ready = append(o.ready, s) }

// read returns the next message of the reader's connection. It writes before it waits for one.
func (o *outbox) read(conn transport.Conn) ([]byte, error) {
	if len(o.ready) > 0 {
		if o.gathered++; o.gathered < maxGathered {
			if data, ok, err := conn.TryRead(); ok || err != nil {
				return data, err
			}
		}
		o.flush()
	}
	return conn.Read()
}

func (o *outbox) flush() {
	for i, s := range o.ready {
		s.FlushReady()
		o.ready[i] = nil
	}
	o.ready, o.gathered = o.ready[:0], 0
}
