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
// Everything the Conn holds (socket, buffers, timers, goroutines) is released
// before Read returns its error; without a Read in progress or to come, Abort
// releases it, and so does the end of the linger time after Close.
type Conn interface {
	// Read returns the next text message, blocking until there is one. The
	// slice belongs to the Conn and is valid until the next Read or TryRead. A binary
	// message closes the connection with CloseUnsupportedData, one over the
	// limit with CloseMessageTooBig, bytes that are not the protocol with CloseProtocolError.
	//
	// The error is a *CloseError if a close frame ended the connection: with
	// Remote true if the other side closed first, false if this side did. Otherwise it
	// wraps ErrLost and the cause.
	Read() ([]byte, error)

	// TryRead returns the next message if it has arrived, and never waits. It counts as a Read, and answers
	// control frames as Read does. It returns false if Read may have to wait: then call Read, which also
	// finds messages that TryRead does not, such as those that only the operating system has received.
	// The error is as for Read; TryRead may leave an end that Read has not returned yet to Read.
	TryRead() (msg []byte, ok bool, err error)

	// Write writes the messages in order, each as one message, with as few system
	// calls as it can, and blocks until all of them have been handed to the
	// operating system. It does not keep the slices. After an error, which is as
	// for Read, it is unknown which messages have arrived, and the connection
	// ends: immediately after the write timeout, otherwise when what the
	// other side has sent before has been read, at the latest when nothing has come for the linger time.
	Write(messages [][]byte) error

	// TryWrite is Write, unless that would wait, or fail: then it returns false and has taken nothing.
	// What the operating system does not accept immediately of messages that were taken is written
	// in the background; a failure is returned by the next Write and by Read. It counts as a Write.
	// A Conn that cannot write without waiting always returns false.
	TryWrite(messages [][]byte) bool

	// Ping asks the other side for a sign of life, behind what is being written now. It never
	// blocks nor waits for the answer, which the other side sends while it
	// reads and which shows in LastReceived while this side reads. The error is as for Write, or
	// errors.ErrUnsupported if the Conn cannot ask.
	Ping() error

	// Close starts the close: it sends the close frame, after what Write is
	// writing now, and returns without waiting. From then on Write is refused
	// and Read discards what comes, until the other side has answered, or
	// no byte has flowed in either direction for the linger time, or the
	// write timeout is over; it then ends with *CloseError{Code, Reason}, Remote
	// false. A code that may not be sent becomes a close frame without one; the reason
	// is cut to 123 bytes. The first to close wins; calls after it, after the
	// other side's close and after Abort do nothing.
	Close(code CloseCode, reason string)

	// Abort drops the connection immediately and without a close frame. It unblocks
	// Read and Write, does not wait for them, and does nothing the second time.
	Abort()

	// LastReceived is when Read last took a byte off the wire, of whatever
	// kind: anything received is life (protocol section 7). Before the first
	// it is when the connection was made. The time carries a monotonic reading.
	LastReceived() time.Time

	// WholeMessages reports whether LastReceived does not see the bytes of an unfinished message, as on the
	// WebSocket of a platform: a heartbeat must leave a message the time to arrive.
	WholeMessages() bool

	// RemoteAddr is the network address of the other side, for logs; not empty.
	RemoteAddr() string

	// SetMeter sets a meter for the frames and bytes that arrive; nil removes it. It must not be called concurrently
	// with Read or TryRead. A Conn whose other side is trusted may ignore it.
	SetMeter(m Meter)
}

// Meter counts and limits the frames and bytes that arrive on a connection.
type Meter interface {
	// Received is called by Read and TryRead, on their goroutine, with the frames and bytes that have arrived
	// since the last call: WebSocket frames, control frames and fragments included. If it returns
	// false, the connection is closed with CloseRateLimit, and it is not called again.
	Received(frames, bytes int) bool
}

// Dialer makes connections to a hub.
type Dialer interface {
	// Dial connects to the URL, sending header along (nil: none). ctx bounds
	// the attempt only: once it has succeeded, the end of ctx changes nothing. A hub
	// that answered and refused is a *HandshakeError. The header is not
	// changed nor kept. It may be called concurrently.
	Dial(ctx context.Context, url string, header http.Header) (Conn, error)
}
