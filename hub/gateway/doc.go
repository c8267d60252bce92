// Package gateway puts HTTP in front of a hub: whoever cannot keep a WebSocket open calls
// operations, publishes, and reads events with plain requests.
//
//	g, err := gateway.New(h, nil)
//	mux.Handle("GET /spoke", h)
//	mux.Handle("/", g)
//
// The routes; what stands in braces is one percent-encoded segment, in which %2F is a slash:
//
//	POST /call/{operation}              JSON in; {"data", "meta"} out; ?timeout=20s
//	POST /spokes/{id}/call/{operation}  the same at one spoke
//	POST /publish/{topic}               JSON in; 204 when it is published
//	GET  /events/{topic}                server-sent events
//	GET  /spokes                        the spokes that the identity may see
//	GET  /stats                         the hub's counts
//	GET  /healthz                       200 {"status":"ok"}; 503 {"status":"draining"}; for everybody
//
// An empty body is null. An error is {"code", "message", "retryable", "details"} under the status of
// the protocol's table (section 3). HTTP adds UNAUTHENTICATED (401), NOT_FOUND (404, no such route),
// METHOD_NOT_ALLOWED (405) and UNSUPPORTED_MEDIA_TYPE (415).
//
// # Guarantees
//
//   - A request is let in by the hub's own authenticator and origins, unless [Options] say otherwise,
//     and calls, publishes and subscribes as that identity.
//   - A call whose client goes away is aborted, and one that fails says whether it may have run.
//   - An operation that streams gives its first answer; a spoke's connection gives them all.
//   - An event stream begins with a comment line when it is live: what is published after that
//     arrives, or is told as a gap, {"topic", "dropped"}, where 0 means that nobody knows how many. It ends
//     when its client goes or the hub drains.
//
// # Bounds
//
// A body is bounded by Options.MaxMessageBytes. What waits for the reader of an event stream is
// bounded as every subscription is (package pubsub): over it the oldest events are dropped and the gap is told.
// A reader that takes nothing for Options.WriteTimeout is cut off.
package gateway
