// Package peer is the engine of both ends of a connection: it dispatches what arrives, runs handlers, finds the request that
// an answer belongs to, and passes credit, cancellation and time on. A hub and a spoke each own a [Peer] for a session and
// implement [Side] with what differs between them; a link between two hubs runs the same engine.
//
//   - An [Incoming] is a request that arrived. It is served by a handler ([Incoming.Handle]) or passed on.
//   - An [Outgoing] is a request that was sent. A [Sink] waits for its answers on a goroutine ([Peer.Do]): a [Caller], which is
//     this program, or an Incoming. A unary Incoming is passed on without a goroutine where nothing has to wait
//     ([Incoming.Relay]).
//
// # Goroutines
//
// One goroutine at a time reads a connection ([Peer.Run], [Peer.Start]). It waits for nothing else: a request is in the table
// before its handler starts, so that an abort always finds it; frames of the reader's own are posted to the outbound queue,
// whose bound ends the session instead of stopping the reader. Handlers run on goroutines of their own, or, if they return
// quickly, on the reader's, which is taken over from where one waits. [Peer.Wait] joins them.
//
// # Locks
//
// A peer has one lock, its session has one, and its [pending.Map] has one. The session's is held while it reports that the
// last frame of a request is in the queue ([Incoming.Appended]), which takes the peer's; in any other order no two are held
// together. The lock of a request's context is taken last, and that of a relayed request first ([Incoming.Relay]). No handler,
// no method of Side and no [pending.Taker] is called with any of them held.
package peer
