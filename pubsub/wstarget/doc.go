// Package wstarget is the pubsub core's event target on one session: [Target] is
// the spoke's end, [Endpoint] the hub's (protocol section 5).
//
// Both are fed by the connection's reader through methods that never wait, and
// write through a small sender. They end with their session. Delivery is at most
// once, in order per topic and publisher; a break is told as a gap event.
//
// What they hold is a map entry per topic that is listened to; they have no
// buffers: frames wait in the session's log, within its budget.
package wstarget
