package peer

import (
	"time"

	"github.com/alkdev/hubspoke/internal/session"
	"github.com/alkdev/hubspoke/transport"
)

// unflushed holds the sessions to which a reader has appended frames that are not written yet, so that frames for one
// connection are written together. Nothing else writes to them meanwhile. It is for the goroutine that reads.
type unflushed struct {
	sessions []*session.Session
	messages int       // how many were read since the last flush
	since    time.Time // of the first session
}

const (
	// maxGathered bounds the messages that are read before frames are written, on a connection on which there is always
	// another.
	maxGathered = 512
	// maxHeld bounds the time that handlers on the reader may take before frames are written.
	maxHeld = 100 * time.Microsecond
)

// add takes a session that is ready; see [session.Session.TryAppend].
func (u *unflushed) add(s *session.Session) {
	if len(u.sessions) == 0 {
		u.since = time.Now()
	}
	u.sessions = append(u.sessions, s)
}

// read returns the next message of the reader's connection. It flushes before it waits for one.
func (u *unflushed) read(conn transport.Conn) ([]byte, error) {
	if len(u.sessions) > 0 {
		if u.messages++; u.messages < maxGathered {
			if data, ok, err := conn.TryRead(); ok || err != nil {
				return data, err
			}
		}
		u.flush()
	}
	return conn.Read()
}

// flushOld flushes what has been held for long.
func (u *unflushed) flushOld() {
	if len(u.sessions) > 0 && time.Since(u.since) >= maxHeld {
		u.flush()
	}
}

func (u *unflushed) flush() {
	for i, s := range u.sessions {
		s.FlushReady()
		u.sessions[i] = nil
	}
	u.sessions, u.messages = u.sessions[:0], 0
}
