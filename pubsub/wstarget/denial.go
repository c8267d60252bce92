package wstarget

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

// Error returns the action, the topic and the reason.
func (d *Denial) Error() string {
	return d.Action + " " + d.Topic + ": " + d.Code + ": " + d.Message
}
