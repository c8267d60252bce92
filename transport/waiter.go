package transport

// Waiter is implemented by a Conn whose Read tells when it has handed out what there was.
type Waiter interface {
	// BeforeWait has Read call fn, on its own goroutine, whenever nothing is left of what has come, before it
	// looks for more; nil ends that. It is false where the Conn cannot. It is for
	// the reader, while it is not in Read.
	BeforeWait(fn func()) bool
}

var _ Waiter = (*socket)(nil)

// BeforeWait implements Waiter; it cannot over TLS.
func (s *socket) BeforeWait(fn func()) bool {
	w, ok := s.link.stream.(*wire)
	if !ok {
		w, ok = s.link.conn.(*wire)
	}
	if ok {
		w.before = fn
	}
	return ok
}
