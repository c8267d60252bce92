// Package gateway puts HTTP in front of a hub: clients that cannot keep a WebSocket open call
// operations, publish, and read events with plain requests.
//
//	g, err := gateway.New(h, nil)
//	mux.Handle("GET /spoke", h)
//	mux.Handle("/", g)
//
// The routes; what is in braces is one percent-encoded segment, in which %2F is a slash:
//
//	POST /call/{operation}              JSON in; {"data", "meta"} out, or a stream of that; ?timeout=20s
//	POST /spokes/{id}/call/{operation}  the same at one spoke
//	POST /publish/{topic}               JSON in; 204 when it is published
//	GET  /events/{topic}                server-sent events
//	GET  /spokes                        a page of the spokes that the identity may see
//	GET  /operations                    a page of the operations that the identity may call
//	GET  /stats                         the hub's counts; for identities with the scope hub.observe
//	GET  /healthz                       200 {"status":"ok"}; 503 {"status":"draining"}; for everybody
//
// An empty body is null. A parameter that a call, a list or publishing does not have is refused. An error
// is {"code", "message", "retryable", "details"} with the status of the protocol's table (section 3); one with
// 429 or 503 has a Retry-After. HTTP adds UNAUTHENTICATED (401), NOT_FOUND (404, no such route),
// METHOD_NOT_ALLOWED (405), REQUEST_TIMEOUT (408) and UNSUPPORTED_MEDIA_TYPE (415).
//
// # Streams
//
// A call of an operation that answers with a stream (its type is subscription) is answered with
// server-sent events if the client accepts text/event-stream by that name, else with lines of JSON
// (application/x-ndjson). Each value is {"data", "meta"}, in an event without a name or on a line.
// Server-sent events end with the event "end", or with "error" and the error; lines end with the answer,
// or with {"error"}. What fails before the first value has the status of its error.
//
// # Lists
//
// A page is an array, ordered by name. The parameters limit (100, at most 500), after, prefix, operation,
// selector (label=value, once for each label) and fields (separated by commas) are those of hub.spokes
// (protocol section 4). If there may be more, the header Link names the next page with rel="next". A
// header Hubspoke-Incomplete names each hub whose items may be missing, as its percent-encoded id and the
// code: "hub-2;code=UNAVAILABLE".
//
// # Guarantees
//
//   - A request is let in by the hub's own authenticator and origins, unless [Options] say otherwise,
//     and calls, publishes and subscribes as that identity.
//   - A call whose client disconnects is aborted, and the error of one that fails reports whether it may have run.
//   - An event stream begins with a comment line when it is live: what is published after that
//     arrives, or is reported as a gap, {"topic", "dropped"}, where 0 means that the number is unknown. It ends
//     when its client leaves or the hub drains.
//
// # Bounds
//
// A body is bounded by Options.MaxMessageBytes, and has Options.ReadTimeout and 1 s for each 16 KiB to arrive. A request that is
// refused before its body was read is answered immediately, and its connection is closed. A hub that
// drains waits for no body. One identity has at most Options.MaxIdentityRequests and MaxIdentityStreams
// at the same time. The events that wait for the reader of an event stream are bounded as in every subscription
// (package pubsub): over it the oldest events are dropped and the gap is reported; a stream of a call
// waits for its reader instead. A client that does not take 16 KiB of an answer, or a value of a stream, within
// Options.WriteTimeout is disconnected.
package gateway
