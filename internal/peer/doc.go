// Package peer is the symmetric engine of both ends of a connection: it
// dispatches what arrives, runs handlers, correlates calls, and passes credit,
// cancellation and time. Hub and spoke add only identity and policy; a link between
// two hubs runs the same engine.
//
// The reader never waits: a request gets its entry in the table before anything
// asynchronous starts, so that an abort always finds it; handlers run in goroutines of
// their own; answers of the reader's own are posted to the outbound queue, never waited for.
package peer
