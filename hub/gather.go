package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/jsonscan"
	"github.com/alkdev/hubspoke/internal/peer"
)

// gatherRequest is the input of hub.gather (protocol section 4).
type gatherRequest struct {
	operation string
	input     []byte
	selector  map[string]string
	timeout   time.Duration
}

func parseGather(in json.RawMessage) (g gatherRequest, err error) {
	var ms int64
	err = jsonscan.Decode(in,
		jsonscan.StringField("operationId", &g.operation),
		jsonscan.RawField("input", &g.input),
		jsonscan.MapField("selector", &g.selector),
		jsonscan.IntField("timeout", &ms))
	if err == nil && g.operation == "" {
		err = fmt.Errorf("no operationId")
	}
	if err == nil && ms < 0 {
		err = fmt.Errorf("the timeout is negative")
	}
	g.timeout = time.Duration(min(ms, int64(24*time.Hour/time.Millisecond))) * time.Millisecond
	if g.timeout == 0 {
		g.timeout = call.DefaultTimeout
	}
	return g, err
}

// gather calls every spoke that serves the operation and lets the identity call
// it, and sends each answer as it comes.
func (h *Hub) gather(ctx context.Context, in json.RawMessage, send func(json.RawMessage) error) error {
	g, err := parseGather(in)
	if err != nil {
		return call.Refuse(&call.Error{Code: call.CodeValidation, Message: "hub.gather: " + err.Error()})
	}
	parent := call.FromContext(ctx)
	req := &call.Request{Operation: g.operation, Input: g.input, Selector: g.selector, Timeout: g.timeout,
		Identity: parent.Identity, Metadata: parent.Metadata, ParentID: parent.ID}
	if e := h.allow(req.Identity, Call, req.Operation); e != nil {
		return call.Refuse(e)
	}
	ctx, stop := context.WithTimeout(ctx, g.timeout)
	defer stop()
	results := make(chan json.RawMessage)
	var wg sync.WaitGroup
	for _, c := range h.table.serving(g.operation) {
		if h.suits(c, req) != suitable {
			continue
		}
		wg.Go(func() {
			r := h.gatherOne(ctx, c.peer, c.id, req)
			select {
			case results <- r:
			case <-h.ctx.Done():
			}
		})
	}
	go func() { wg.Wait(); close(results) }() // ends with the calls, which end with ctx; results is read to its end below
	var failed error
	for r := range results {
		if failed == nil {
			if failed = send(r); failed != nil {
				stop()
			}
		}
	}
	return failed
}

func (h *Hub) gatherOne(ctx context.Context, p *peer.Peer, spokeID string, req *call.Request) json.RawMessage {
	leg := h.leg(req, req.ParentID)
	output, err := p.Call(ctx, leg)
	b := jsonscan.AppendString([]byte(`{"spokeId":`), spokeID)
	if err != nil {
		b = append(b, `,"error":{`...)
		return append(call.AppendErrorMembers(b, asError(err)), "}}"...)
	}
	b = append(append(b, `,"output":`...), output...)
	if len(output) == 0 {
		b = append(b, "null"...)
	}
	return append(b, '}')
}
