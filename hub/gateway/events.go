package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/pubsub"
)

// events streams a topic until the client goes or the hub drains.
func (g *Handler) events(w http.ResponseWriter, r *http.Request, id *call.Identity, topic string) {
	if err := g.hub.MaySubscribe(id, topic); err != nil {
		fail(w, err)
		return
	}
	if e := g.streams.enter(id.ID); e != nil {
		fail(w, e)
		return
	}
	defer g.streams.leave(id.ID)
	ctx, cancel := untilEnded(r.Context(), id)
	defer cancel()
	defer context.AfterFunc(g.hub.Open(), cancel)() // the server would wait for the stream for ever
	if g.hub.Draining() {
		fail(w, unavailable("the hub is draining"))
		return
	}
	s := newStream(w, cancel)
	sub, err := pubsub.NewTopic[json.RawMessage](topic).Subscribe(ctx, g.hub.EventsAs(id), "", pubsub.OnGap(func(dropped int) { s.gap(topic, dropped) }))
	if err != nil {
		fail(w, unavailable("the subscription was not made: "+err.Error()))
		return
	}
	defer sub.Stop()
	if !s.begin(eventsType) {
		return
	}
	s.write([]byte(": live\n\n"))
	for {
		beat, stop := context.WithTimeout(ctx, g.opts.KeepAlive)
		for {
			payload, err := sub.Next(beat)
			if errors.Is(err, pubsub.ErrDecode) { // another program has published on the core what is not JSON
				s.gap(topic, 1)
				continue
			}
			if err != nil {
				break
			}
			s.event(nil, payload)
		}
		over := ctx.Err() != nil || beat.Err() == nil // or the subscription itself has ended
		stop()
		if over {
			return
		}
		s.keepAlive()
	}
}
