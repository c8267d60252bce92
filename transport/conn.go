package transport

import (
	"context"
	"net/http"
	"time"
)

// Conn is one connection over which text messages travel both ways, each of
// them a frame. Read may be used by one goroutine at a time and Write by one at
// a time; everything else may be called concurrently with them and with itself.
//
// A connection ends once, for both directions. After Read has returned an error
// it is finished: every later Read returns the same error, Write an error.
// Everything the Conn holds (socket, buffers, timers, goroutines) is given back
// before Read returns its error; without a Read in progress or to come, Abort
// gives it back, and so does the end of the linger time after Close.
type Conn interface {
	// Read returns the next text message, blocking until there is one. The
	// slice belongs to the Conn and is valid until the next Read. A binary
	// message closes the connection with CloseUnsupportedData, one over the
	// limit with CloseMessageTooBig, bytes that are not the protocol with CloseProtocolError.
	//
	// The error is a *CloseError if a close frame ended the connection: with
	// Remote true if the other side closed first, false if this side did. Otherwise it
	// wraps ErrLost and the cause.
	Read() ([]byte, error)

	// Write writes the frames in order, each as one message, with as few system
	// calls as it can, and blocks until all of them have been handed to the
	// operating system. It does not keep the slices. After an error, which is as
	// for Read, what has arrived of the frames is unknown and the connection
	// ends: at once if the time to write was up, otherwise when what the
	// other side has sent before has been read, at the latest when nothing has come for the linger time.
	Write(frames [][]byte) error

	// Close starts the close: it sends the close frame, after what Write is
	// writing now, and returns without waiting. From then on Write is refused
	// and Read discards what comes, until the other side has answered, or
	// no byte has flowed in either direction for the linger time, or the
	// write timeout is over; it then ends with *CloseError{Code, Reason}, Remote
	// false. A code that may not be sent becomes a close frame without one; the reason
	// is cut to 123 bytes. The first to close wins; calls after it, after the
	// other side's close and after Abort do nothing.
	Close(code CloseCode, reason string)

	// Abort drops the connection at once and without a close frame. It unblocks
	// Read and Write, does not wait for them, and does nothing the second time.
	Abort()

	// LastReceived is when Read last took a byte off the wire, of whatever
	// kind: anything received is life (protocol section 7). Before the first
	// it is when the connection was made. The time carries a monotonic reading.
	LastReceived() time.Time

	// RemoteAddr is the network address of the other side, for logs; not empty.
	RemoteAddr() string
}

// Pinger is implemented by a Conn that can ask the other side for a sign of life
// without a frame.
type Pinger interface {
	// Ping sends the question, behind what is being written now. It never
	// blocks nor waits for the answer, which the other side gives while it
	// reads and which shows in LastReceived while this side reads. The error is as for Write. It may be
	// called concurrently with everything.
	Ping() error
}

// Dialer makes connections to a hub.
type Dialer interface {
	// Dial connects to the URL, sending header along (nil: none). ctx bounds
	// the attempt only: once it has succeeded, the end of ctx changes nothing. A hub
	// that answered and refused is a *HandshakeError. The header is not
	// changed nor kept. It may be called concurrently.
	Dial(ctx context.Context, url string, header http.Header) (Conn, error)
}
