package hub

import (
	"context"
	"strconv"
	"strings"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/jsonscan"
	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/pubsub"
)

// The topics of presence (protocol section 5). Each event is published there and
// on the topic with ":{spokeId}" appended.
const (
	TopicConnected    = "hub.spoke.connected"
	TopicDisconnected = "hub.spoke.disconnected"
	TopicDetached     = "hub.spoke.detached" // its connection was lost, and the hub keeps its session
	TopicResumed      = "hub.spoke.resumed"  // a detached spoke resumed its session
)

// Presence is the payload of the topics of presence.
type Presence struct {
	HubID      string `json:"hubId"`
	SpokeID    string `json:"spokeId"`
	Generation int64  `json:"generation"`
	// Reason is why it disconnected or was detached; empty for connected and resumed.
	Reason string `json:"reason,omitempty"`
}

// append is what json.Marshal gives, for it is made twice in the life of each connection.
func (p Presence) append(dst []byte) []byte {
	dst = jsonscan.AppendString(append(dst, `{"hubId":`...), p.HubID)
	dst = jsonscan.AppendString(append(dst, `,"spokeId":`...), p.SpokeID)
	dst = strconv.AppendInt(append(dst, `,"generation":`...), p.Generation, 10)
	if p.Reason != "" {
		dst = jsonscan.AppendString(append(dst, `,"reason":`...), p.Reason)
	}
	return append(dst, '}')
}

// The topics of presence, for Subscribe.
var (
	Connected    = pubsub.NewTopic[Presence](TopicConnected)
	Disconnected = pubsub.NewTopic[Presence](TopicDisconnected)
	Detached     = pubsub.NewTopic[Presence](TopicDetached)
	Resumed      = pubsub.NewTopic[Presence](TopicResumed)
)

// presenceTopic reports whether the topic is one of presence, and of which spoke;
// "" is all of them.
func presenceTopic(topic string) (spokeID string, ok bool) {
	for _, t := range []string{TopicConnected, TopicDisconnected, TopicDetached, TopicResumed} {
		if rest, found := strings.CutPrefix(topic, t); found && (rest == "" || rest[0] == ':') {
			return strings.TrimPrefix(rest, ":"), true
		}
	}
	return "", false
}

// maySee reports whether the identity may receive an event: one of presence is about a spoke, which may be hidden from it.
// The embedding program may publish what it likes on such a topic, and only it receives what names no spoke.
func (h *Hub) maySee(id *call.Identity, ev pubsub.Event) bool {
	if _, ok := presenceTopic(ev.Topic); !ok || ev.Gap || ev.End != nil || h.opts.Authorize == nil {
		return true
	}
	var spokeID string
	if err := jsonscan.Decode(ev.Payload, jsonscan.StringField("spokeId", &spokeID)); err != nil {
		return id == nil
	}
	return h.allow(id, List, spokeID) == nil
}

func reservedTopic(topic string) bool { return strings.HasPrefix(topic, wire.HubPrefix) }

// arrived tells that c has registered.
func (h *Hub) arrived(c *conn) {
	c.presence.Lock()
	defer c.presence.Unlock()
	if c.gone {
		return
	}
	c.here = true
	h.tellPresence(TopicConnected, c, "")
}

// announceDetached publishes that c has lost its connection and that its session waits.
func (h *Hub) announceDetached(c *conn, reason string) {
	c.presence.Lock()
	defer c.presence.Unlock()
	if c.gone || c.away || !c.here {
		return
	}
	c.away = true
	h.tellPresence(TopicDetached, c, reason)
}

// announceResumed publishes that c, which was detached, is back in its session.
func (h *Hub) announceResumed(c *conn) {
	c.presence.Lock()
	defer c.presence.Unlock()
	if c.gone || !c.away {
		return
	}
	c.away = false
	h.tellPresence(TopicResumed, c, "")
}

// departed tells, once, that c has gone, and releases its record. Whoever takes
// an id over tells it of the older connection before it tells of itself.
func (h *Hub) departed(c *conn, reason string) {
	c.presence.Lock()
	defer c.presence.Unlock()
	if c.gone {
		return
	}
	c.gone = true
	if generation := h.table.generationOf(c); generation != 0 {
		h.release(c, generation)
	}
	if c.here {
		h.tellPresence(TopicDisconnected, c, reason)
	}
}

// release takes the record of c out of the directory, if it is still of this generation.
func (h *Hub) release(c *conn, generation int64) {
	ctx, cancel := h.asking(context.WithoutCancel(h.ctx))
	defer cancel()
	if err := h.directory.Release(ctx, h.opts.ID, c.id, generation); err != nil {
		c.Log().Warn().Err(err).Msg("the directory was not told that the spoke has gone")
	}
}

func (h *Hub) tellPresence(topic string, c *conn, reason string) {
	payload := Presence{HubID: h.opts.ID, SpokeID: c.id, Generation: h.table.generationOf(c), Reason: reason}.append(make([]byte, 0, 192))
	for _, t := range []string{topic, topic + ":" + c.id} {
		h.publisher.publish(pubsub.Event{Topic: t, Payload: payload}, func(err error) {
			c.Log().Warn().Err(err).Str("topic", t).Msg("presence was not published")
		})
	}
}
