package hub_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/alkdev/hubspoke/internal/jsonscan"
	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/spoke"
	"github.com/alkdev/hubspoke/transport"
)

// verifier knows what a hub may send to a connection that has sent what it has.
type verifier struct {
	t       *testing.T
	session bool

	mu       sync.Mutex // guards the fields below
	requests map[string]int
	ended    map[string]int // terminal frames, by request
	asked    map[string]bool
	calls    map[string]bool // what the hub has asked for
	offered  map[string]bool // operations
	owed     map[string]bool // requests that must have an answer
	last     string
	drains   int
	over     bool // the connection has ended
}

// answered are the operations that answer at once, whatever they are asked.
var answered = map[string]bool{"hub.info": true, "hub.spokes": true, "hub.operations": true, "hub.publish": true, "b.echo": true, "no.op": true}

func newVerifier(t *testing.T, session bool) *verifier {
	return &verifier{t: t, session: session, requests: map[string]int{}, ended: map[string]int{}, asked: map[string]bool{},
		calls: map[string]bool{}, offered: map[string]bool{}, owed: map[string]bool{}}
}

// closes are the codes with which a hub may close a registered connection.
var closes = map[transport.CloseCode]bool{
	transport.CloseUnsupportedData: true, transport.CloseInvalidFrame: true, transport.CloseMessageTooBig: true,
	transport.CloseServiceRestart: true, transport.CloseTryAgainLater: true, transport.CloseHeartbeatMissed: true,
	transport.CloseSlowConsumer: true, transport.CloseRateLimit: true,
}

func spokeOptions(d transport.Dialer) *spoke.Options { return &spoke.Options{Dialer: d} }

// rawFrame is a message as it is on the wire.
type rawFrame struct {
	Type    string
	Payload json.RawMessage
}

func parseFrame(data []byte) (f rawFrame, err error) {
	var m wire.Message
	if err := wire.Parse(data, &m); err != nil {
		return f, err
	}
	err = json.Unmarshal(data, &f)
	return f, err
}

// members gives every string that stands under the name, since what is there
// twice is answered under one of them.
func members(payload []byte, name string) (out []string) {
	for member, value := range jsonscan.Members(payload) {
		if string(member) != name {
			continue
		}
		if s, ok := jsonscan.String(value); ok {
			out = append(out, s)
		}
	}
	return out
}

// sends takes note of what the connection says.
func (v *verifier) sends(data []byte) {
	f, err := parseFrame(data)
	if err != nil {
		return
	}
	switch f.Type {
	case "call.requested":
		ids, ops := members(f.Payload, "requestId"), members(f.Payload, "operationId")
		for _, id := range ids {
			v.requests[id]++
		}
		if len(ids) == 1 && len(ids[0]) > 0 && len(ids[0]) <= 128 && len(ops) == 1 && answered[ops[0]] {
			v.owed[ids[0]] = true
		}
		for name, value := range jsonscan.Members(f.Payload) {
			if string(name) == "input" {
				v.registers(value)
			}
		}
	case "__subscribe":
		for _, topic := range members(f.Payload, "topic") {
			v.asked[topic] = true
		}
	}
}

func (v *verifier) registers(input []byte) {
	var in struct {
		Operations []struct{ Name string }
	}
	_ = json.Unmarshal(input, &in)
	for _, op := range in.Operations {
		v.offered[op.Name] = true
	}
}

var upperSnake = regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`)

// receives checks a frame of the hub.
func (v *verifier) receives(data []byte) {
	f, err := parseFrame(data)
	if err != nil {
		v.t.Fatalf("%v: %q", err, data)
	}
	var p struct {
		RequestID   *string `json:"requestId"`
		OperationID string  `json:"operationId"`
		Topic       *string
		Action      string
		Code        string
		Retryable   *bool
		Details     struct{ Sent *bool }
		Dropped     *int
		Received    *int
		RetryAfter  *int `json:"retryAfter"`
		Credit      int
		Identity    *struct{ ID string }
	}
	if strings.HasPrefix(f.Type, "__") || strings.HasPrefix(f.Type, "call.") {
		if len(f.Payload) > 0 && json.Unmarshal(f.Payload, &p) != nil {
			v.t.Fatalf("malformed: %s", data)
		}
	}
	bad := func(wrong bool) {
		if wrong {
			v.t.Errorf("not allowed now: %.500s", data)
		}
	}
	switch f.Type {
	case "call.requested":
		bad(p.RequestID == nil || v.calls[*p.RequestID] || !v.offered[p.OperationID] || p.Identity != nil && p.Identity.ID == "root")
		v.last = *p.RequestID
		v.calls[v.last] = true
	case "call.responded", "call.completed", "call.error":
		bad(p.RequestID == nil || v.ended[*p.RequestID] >= v.requests[*p.RequestID])
		if f.Type == "call.error" {
			bad(!upperSnake.MatchString(p.Code) || p.Retryable == nil || p.Details.Sent == nil)
		}
		delete(v.owed, *p.RequestID)
		if f.Type != "call.responded" {
			v.ended[*p.RequestID]++
		}
	case "call.aborted":
		bad(p.RequestID == nil || !v.calls[*p.RequestID])
	case "call.credit":
		bad(p.RequestID == nil || !v.calls[*p.RequestID] || p.Credit <= 0)
	case "__pong":
	case "__subscribed":
		bad(p.Topic == nil || !v.asked[*p.Topic])
	case "__denied":
		bad(p.Topic == nil || p.Action != "publish" && !v.asked[*p.Topic] || !upperSnake.MatchString(p.Code))
	case "__gap":
		bad(p.Topic == nil || !v.asked[*p.Topic] || p.Dropped == nil || *p.Dropped < 0)
	case "__ack":
		bad(!v.session || p.Received == nil || *p.Received < 1)
	case "__drain":
		v.drains++
		bad(p.RetryAfter == nil || *p.RetryAfter < 0 || v.drains > 1)
	default: // an event
		bad(strings.HasPrefix(f.Type, "__") || strings.HasPrefix(f.Type, "call.") || !v.asked[f.Type] ||
			strings.HasPrefix(f.Type, "hub.") && !strings.HasPrefix(f.Type, "hub.spoke."))
	}
}
