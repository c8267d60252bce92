// Package spoke is the worker's side of hubspoke: a [Spoke] dials a hub,
// registers the operations that it serves, and stays, reconnecting by itself.
//
//	s, err := spoke.New("wss://hub.example.com/spoke", &spoke.Options{ID: "worker-7", Token: token})
//	err = call.Handle(s.Operations(), "text.wordcount", wordCount)
//	err = s.Run(ctx) // until ctx ends or the hub says stop
//
// # Guarantees
//
//   - Whatever ends a connection, the spoke comes back, with backoff and jitter,
//     unless the hub closed with a code from 4500 to 4999 or answered 401 or 403: then Run returns why.
//   - Calls and subscriptions made while there is no connection wait within their context. A
//     request that cannot have left is sent again on the next connection; one that may
//     have run fails with DISCONNECTED, Sent true.
//   - Topics are subscribed to again after a reconnect, and their listeners told of the gap.
//   - Handlers of a connection that is lost see their context end.
//
// # Bounds
//
// What waits to be sent is bounded by Options.LogBytes, the requests that are served at once by
// Options.MaxInFlight, the size of a message by Options.MaxMessageBytes.
package spoke
