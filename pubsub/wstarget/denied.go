package wstarget

import (
	"strings"

	"github.com/alkdev/hubspoke/internal/jsonscan"
	"github.com/alkdev/hubspoke/pubsub"
)

// Denial is why a publish or a subscription was refused.
type Denial struct {
	Action  string // "publish" or "subscribe"
	Topic   string
	Code    string // an error code of the call protocol
	Message string
}

// The actions of a Denial.
const (
	ActionPublish   = "publish"
	ActionSubscribe = "subscribe"
)

// Error gives the action, the topic and the reason.
func (d *Denial) Error() string {
	return d.Action + " " + d.Topic + ": " + d.Code + ": " + d.Message
}

// denialBytes bounds the message of a denial on the wire; a topic that is too long to be one is cut too.
const denialBytes = 4 << 10

func (d *Denial) payload() []byte {
	b := jsonscan.AppendString([]byte(`{"action":`), d.Action)
	b = jsonscan.AppendString(append(b, `,"topic":`...), strings.ToValidUTF8(d.Topic[:min(len(d.Topic), pubsub.MaxTopicBytes)], ""))
	b = jsonscan.AppendString(append(b, `,"code":`...), d.Code)
	b = jsonscan.AppendString(append(b, `,"message":`...), jsonscan.Cut(d.Message, denialBytes))
	return append(b, '}')
}

func parseDenial(payload []byte) (*Denial, error) {
	d := &Denial{}
	return d, jsonscan.Decode(payload,
		jsonscan.StringField("action", &d.Action),
		jsonscan.StringField("topic", &d.Topic),
		jsonscan.StringField("code", &d.Code),
		jsonscan.StringField("message", &d.Message))
}
