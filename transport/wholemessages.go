package transport

// WholeMessages is implemented by a Conn whose LastReceived does not see the bytes of an unfinished message: the WebSocket of a
// platform. A heartbeat must leave a message the time to arrive.
type WholeMessages interface {
	// OnlyWholeMessages marks the Conn; it does nothing.
	OnlyWholeMessages()
}
