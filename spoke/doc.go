// Package spoke is the worker's side of hubspoke: a [Spoke] dials a hub,
// registers the operations that it serves, and stays, reconnecting by itself.
//
//	s, err := spoke.New("wss://hub.example.com/spoke", &spoke.Options{ID: "worker-7", Token: token})
//	err = call.Handle(s.Operations(), call.Operation{Name: "text.wordcount"}, wordCount)
//	err = s.Run(ctx) // until ctx ends, Shutdown has finished, or a hub refuses the spoke
//
// # Guarantees
//
//   - After every end of a connection the spoke reconnects, with backoff and jitter, unless a hub refuses it
//     permanently: then Run returns the reason. It dials its URLs, or those that Options.Discover finds, in turn.
//   - A lost connection loses nothing if the spoke is back at the same hub within the session's window (15 s by default):
//     calls in both directions, streams, handlers and subscriptions continue where they were. Options.NoSession turns that off.
//   - If the session is lost (the window expired, the hub restarted, another hub answered), its calls fail
//     with DISCONNECTED, whose Sent is true if the handler can have run; the contexts of its handlers end;
//     topics are subscribed to again, and their listeners get a gap.
//   - Calls and subscriptions made while there is no connection wait within their context. A request that cannot
//     have left is sent on the next connection, in the same session or a new one.
//   - While a session is detached, the spoke dials the hub that has it, at intervals of at most a third of the window:
//     at the URL that the hub has announced (hub.Options.URL), in turn with the spoke's own, else at the URL of its last
//     registration. The next of its URLs follows when the window expires, and immediately if nothing listens at the first.
//   - Handlers run concurrently, except that those of an operation that has returned within microseconds run one after
//     the other. One of them that waits for something delays the connection by 20 ms at most, seldom, and not at all if it
//     waits in a call that it makes with its context.
//   - Shutdown finishes the calls in flight. Streams end after Options.StreamGrace.
//   - A spoke that leaves is Draining, whether by Shutdown, by the context of Run or by a hub's refusal, until Run returns.
//     Ready fails then.
//
// # Bounds
//
// The outbound queue is bounded by Options.LogBytes, the requests that are served concurrently by
// Options.MaxInFlight, the size of a message by Options.MaxMessageBytes, the nesting of a value by
// Options.MaxDepth, and its registration by the hub (hub.Options.MaxRegistrationBytes and MaxOperations).
package spoke
