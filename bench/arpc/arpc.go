// Package arpc measures github.com/lesismal/arpc over TCP and over its WebSocket extension.
//
// A client registers by one call, by which the server learns the connection it is to call back on. In W1 the
// server calls the client. W2 is a handler of the server that passes the request on with CallAsync and answers
// from its callback, as arpc has no router of its own. In W3 the server encodes a notification once and queues
// it for each client that has registered, as arpc's documentation has it.
//
// Payloads are bytes, which arpc does not encode again. Handlers run in the connection's reading goroutine
// (arpc's other choice, and its default, is a goroutine for each message): an echo never blocks, and
// notifications would arrive in any order otherwise. Connections have TCP_NODELAY as Go sets it, where arpc would
// take it back on accepted and dialled TCP connections: Nagle's algorithm would hold messages back for an
// acknowledgement that nothing hurries. Everything else is as arpc has it: queues of 4,096 messages, both
// ends batching, no keep-alives of its own. A message for which a queue has no room is an error.
package arpc

import (
	"context"
	"errors"
	"sync"

	"github.com/lesismal/arpc/log"

	"github.com/alkdev/hubspoke/bench/contender"
)

var errNoTLS = errors.New("arpc: not set up for TLS here")

// silence turns off arpc's log, which is one for the process, and whose level nothing guards.
var silence = sync.OnceFunc(func() { log.SetLevel(log.LevelNone) })

// Contenders are arpc over TCP and over WebSocket.
func Contenders() []contender.Contender {
	silence()
	return []contender.Contender{
		over("arpc (tcp)", network{listenTCP, dialTCP}),
		over("arpc (ws)", network{listenWebSocket, dialWebSocket}),
	}
}

func over(name string, n network) contender.Contender {
	return contender.Contender{
		Name: name,
		Call: func(s contender.Setup) (contender.Caller, error) {
			return newCaller(s, n)
		},
		Route: func(s contender.Setup) (contender.Caller, error) {
			return newRoute(s, n)
		},
		Serve: func(s contender.Setup) (contender.Server, error) {
			return serve(s, n)
		},
		Dial: func(ctx context.Context, s contender.Setup, c contender.Client) (contender.Connection, error) {
			return dial(ctx, s, n, c)
		},
	}
}
