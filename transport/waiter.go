package transport

// Waiter is implemented by a Conn whose Read tells when it has handed out what there was.
type Waiter interface {
	// BeforeWait has Read call fn, on its own goroutine, whenever nothing is left of what has come, before it
	// looks for more; nil ends that. It is false where the Conn cannot. It is for
	// the reader, while it is not in Read.
	BeforeWait(fn func()) bool
}
