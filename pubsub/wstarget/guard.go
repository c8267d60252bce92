package wstarget

import (
	"fmt"
	"runtime/debug"

	"github.com/rs/zerolog"

	"github.com/alkdev/hubspoke/internal/peer"
	"github.com/alkdev/hubspoke/pubsub"
)

// Guard returns fn so that its panic ends nothing else, since it runs on readers and on goroutines of publishers: the
// panic is counted and logged, and the listener hears the next event.
func Guard(log *zerolog.Logger, c *peer.Counters, fn func(pubsub.Event)) func(pubsub.Event) {
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
