// Package wstarget is the pubsub core's event target on one session: [Target] is
// the spoke's end, [Endpoint] the hub's (protocol section 5).
//
// Both are fed by the connection's reader through methods that never wait, and
// write through a small sender. They end with their session. Delivery is at most
// once, in order per topic and publisher; missing events are reported as a gap event.
//
// They hold a map entry for each topic that has a listener, and no
// buffers: frames wait in the session's outbound queue, within its budget.
package wstarget
