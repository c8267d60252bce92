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
// writer that is stuck are at most 64 KiB; more of them drop the connection. Data is
// written in chunks of 64 KiB, each with its own WriteTimeout, so a slow reader
// that makes progress is never cut off and one that stopped is. An idle
// connection holds no buffer, no timer and no goroutine; a goroutine
// exists only while a control frame is on its way out.
//
// # How WebSockets are used
//
// websocket.go, accept.go and dial.go are the only files that import
// coder/websocket. It does the handshake, reads, and answers control frames. The
// net.Conn beneath it is ours (link): frames are encoded here, and as many as
// are given to one Write leave in one system call.
package transport
