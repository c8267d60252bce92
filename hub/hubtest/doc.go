// Package hubtest runs a hub and its spokes in memory, for tests of programs that
// use them. Nothing touches the network, so it works inside a testing/synctest
// bubble, where time costs nothing, and outside.
//
//	net := hubtest.New(t, nil)
//	worker := net.Spoke("worker-7", nil, func(r *call.Registry) {
//		must(call.Handle(r, call.Operation{Name: "text.wordcount"}, wordCount))
//	})
//	out, err := call.Invoke[Counts](t.Context(), net.Hub, "text.wordcount", doc)
//	err = worker.Reconnect(t.Context()) // the connection is lost; the spoke comes back by itself
//
// Between a spoke and the hub is a [Wire] that does to its connections what a
// network does: it cuts, stalls, delays, and refuses. All is closed when
// the test ends, and the test fails if something does not end.
package hubtest
