// Package transport carries messages: it knows the connections on which they
// travel and the codes with which these close. It does not look into a message.
//
//   - Conn and Dialer: a connection and how a spoke gets one. Accept and
//     WebSocketDialer make them of WebSockets, Pipe of memory; the contract is
//     tested by transporttest.TestConn.
//   - CloseCode, CloseError, ErrLost: how a connection ended, and whether to
//     come back (protocol section 7).
//
// # Bounds
//
// A message is at most MaxMessageBytes plus 64 KiB; a longer one ends the
// connection with 1009. Control frames (pong, ping, close) that wait behind a
// write that does not return are at most 64 KiB; more of them drop the connection.
//
// A write fails only if the system has accepted no byte of it for WriteTimeout, however long the whole
// write takes: a slow reader that makes progress is never cut off, and one that has stopped is. Where TLS
// hides the connection (the side that accepts), the time is for each record of 16 KiB, or for 4 KiB once a
// record has taken a second. Close waits for the other side's close frame until no byte has flowed in
// either direction for Linger, at most for WriteTimeout.
//
// LastReceived is the time at which bytes last arrived, also in the middle of a message; on a platform's
// WebSocket (GOOS=js), which shows whole messages only, Conn.WholeMessages is true. An idle connection
// holds no buffer, no timer and no goroutine; a goroutine exists only while
// a control frame, or what TryWrite could not write at once, is being written.
//
// # How WebSockets are used
//
// accept.go and dial.go are the only files that import coder/websocket, which does the handshake. From then on
// the connection is ours: read.go decodes frames in the buffer that they were read into, write.go encodes those
// of one Write into as few system calls as it can, close.go ends the connection.
package transport
