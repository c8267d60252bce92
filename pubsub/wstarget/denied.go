package wstarget

import "github.com/alkdev/hubspoke/internal/wire"

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

func (d *Denial) frame() []byte { return wire.AppendDenied(nil, d.Action, d.Topic, d.Code, d.Message) }

func denialOf(m *wire.Message) *Denial {
	return &Denial{Action: string(m.Action), Topic: string(m.Topic), Code: string(m.Code), Message: string(m.Text)}
}
