// Package wstarget carries the events of a WebSocket connection (protocol section 5). [Target] is the spoke's end: an event
// target that publishes and subscribes at the hub. [Endpoint] is the hub's end: it subscribes to a core event target for
// one spoke, and [Fanout] shares what the endpoints of a hub subscribe to.
//
// Both ends write to a session, through its peer, and its reader calls them for each frame of events. These
// calls never wait. Missing events are reported as a gap, in their place in the order.
//
// # Where a subscription is kept
//
// At the spoke in one table, that of Target. It outlives sessions: Attach subscribes again, and the listeners get a gap,
// since events may have been published meanwhile. If the hub refuses, they get the refusal, and the subscription has ended.
//
// At the hub in one table for each session, that of Endpoint; a Fanout lists the endpoints of a topic and listens to the core
// once for all of them.
//
// Neither end has a buffer: events wait in the outbound queue of the session, within its budget.
package wstarget
