// Package registration is how a connection begins (protocol section 4): the first request of a spoke, hub.register, and its
// answer, which are exchanged before the connection is attached to a session; and the same request later, when what the
// spoke serves has changed.
package registration
