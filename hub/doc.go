// Package hub is the server's side of hubspoke: a [Hub] is an [http.Handler] that
// spokes dial, and a [call.Caller] that calls what they serve.
//
//	h, err := hub.New(&hub.Options{Authenticate: hub.BearerTokens(tokens)})
//	mux.Handle("GET /spoke", h)
//	out, err := call.Invoke[Counts](ctx, h, "text.wordcount", doc)
//
// # Guarantees
//
//   - A call goes to one spoke at a time, and to a second only if it cannot have run at
//     the first. It ends with one answer, or with an error whose Sent is false only if the handler cannot have run.
//   - A handler sees the identity of the connection on which a request arrived, never
//     an identity that the request contains.
//   - Events are delivered at most once, in order per topic and publisher; a reader
//     that is too slow gets a gap in place of the missing events, and delays no other reader.
//   - A spoke whose connection is lost has Options.SessionWindow to resume its session: calls, streams,
//     handlers and subscriptions then continue in both directions.
//   - Frames of an older connection of a spoke change nothing after a newer one has
//     registered.
//
// # Bounds
//
// Each spoke's outbound queue is bounded in bytes (Options.LogBytes, requests and responses wait for room),
// its events by a budget within it (Options.EventBytes), its requests by Options.MaxInFlight, the calls
// that it answers by Options.MaxSpokeInFlight, its messages by Options.MaxMessageBytes and their nesting
// by Options.MaxDepth, its registration by Options.MaxRegistrationBytes and Options.MaxOperations, its
// topics by Options.MaxTopics, what it sends in a second by Options.FramesPerSecond and
// Options.BytesPerSecond; connections by Options.MaxConnections and Options.MaxIdentityConnections;
// detached sessions by Options.SessionWindow, Options.MaxWaiting and Options.MaxWaitingBytes; draining
// connections that were replaced by Options.DrainTimeout. docs/architecture/limits.md has all defaults.
package hub
