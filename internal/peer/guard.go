package peer

import (
	"fmt"
	"runtime/debug"

	"github.com/rs/zerolog"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/pubsub"
)

// Guard returns fn so that its panic ends nothing else, since it runs on readers and on goroutines of publishers: the
// panic is counted and logged, and the listener hears the next event.
func Guard(log *zerolog.Logger, c *Counters, fn func(pubsub.Event)) func(pubsub.Event) {
	return func(ev pubsub.Event) {
		defer func() {
			if p := recover(); p != nil {
				c.Panics.Add(1)
				log.Error().Str("topic", ev.Topic).Str("panic", fmt.Sprint(p)).Bytes("stack", debug.Stack()).Msg("listener panicked")
			}
		}()
		fn(ev)
	}
}

// panicked counts and logs a handler that ended with a panic, whose value is p, or with a Goexit. It returns the error
// of its call.
func panicked(log *zerolog.Logger, c *Counters, req *call.Request, p any) *call.Error {
	c.Panics.Add(1)
	log.Error().Str("operation", req.Operation).Str("request", req.OriginID).
		Str("panic", fmt.Sprint(p)).Bytes("stack", debug.Stack()).Msg("handler panicked")
	return &call.Error{Code: call.CodeExecution, Sent: true, Message: "the handler panicked"}
}
