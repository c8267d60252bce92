package wstarget

import (
	"github.com/alkdev/hubspoke/internal/jsonscan"
	"github.com/alkdev/hubspoke/pubsub"
)

// appendEvent writes the frame of an event (protocol section 2). Package
// transport's encoder is out of reach here: this package knows only pubsub.
func appendEvent(dst []byte, ev pubsub.Event) []byte {
	dst = jsonscan.AppendString(append(dst, `{"type":`...), ev.Topic)
	dst = append(dst, `,"payload":`...)
	if len(ev.Payload) == 0 {
		dst = append(dst, "null"...)
	} else {
		dst = append(dst, ev.Payload...)
	}
	return append(dst, '}')
}
