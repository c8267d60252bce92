package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
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
	failFast  bool
}

func parseGather(in json.RawMessage) (g gatherRequest, err error) {
	var ms int64
	err = jsonscan.Decode(in,
		jsonscan.StringField("operationId", &g.operation),
		jsonscan.RawField("input", &g.input),
		jsonscan.MapField("selector", &g.selector),
		jsonscan.IntField("timeout", &ms),
		jsonscan.BoolField("failFast", &g.failFast))
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

// elsewhere is the input for other hubs: they answer a little earlier, so that
// what they say of spokes that are too slow still arrives.
func (g gatherRequest) elsewhere() json.RawMessage {
	b := jsonscan.AppendString([]byte(`{"operationId":`), g.operation)
	b = append(b, `,"input":`...)
	if len(g.input) == 0 {
		b = append(b, "null"...)
	}
	b = append(b, g.input...)
	if len(g.selector) > 0 {
		labels, _ := json.Marshal(g.selector) // a map of strings always marshals
		b = append(append(b, `,"selector":`...), labels...)
	}
	if g.failFast {
		b = append(b, `,"failFast":true`...)
	}
	ms := max(1, (g.timeout - min(g.timeout/10, 500*time.Millisecond)).Milliseconds())
	return append(strconv.AppendInt(append(b, `,"timeout":`...), ms, 10), '}')
}

// gather calls every spoke, on all hubs, that serves the operation and lets the
// identity call it, and sends each answer as it comes.
func (h *Hub) gather(ctx context.Context, in json.RawMessage, send func(json.RawMessage) error) error {
	return h.gatherAll(ctx, in, send, true)
}

// gatherHere does the same for the spokes of this hub, for another hub.
func (h *Hub) gatherHere(ctx context.Context, in json.RawMessage, send func(json.RawMessage) error) error {
	return h.gatherAll(ctx, in, send, false)
}

func (h *Hub) gatherAll(ctx context.Context, in json.RawMessage, send func(json.RawMessage) error, everywhere bool) error {
	g, err := parseGather(in)
	if err != nil {
		return call.Refuse(&call.Error{Code: call.CodeValidation, Message: "hub.gather: " + err.Error()})
	}
	parent := call.FromContext(ctx)
	req := &call.Request{Operation: g.operation, Input: g.input, Selector: g.selector, Timeout: g.timeout, FailFast: g.failFast,
		Identity: parent.Identity, Metadata: parent.Metadata, OriginID: parent.OriginID}
	if e := h.allow(req.Identity, Call, req.Operation); e != nil {
		return call.Refuse(e)
	}
	ctx, stop := context.WithTimeout(ctx, g.timeout)
	defer stop()
	results := make(chan json.RawMessage)
	var held atomic.Int64 // bytes of answers that the reader has not taken
	var wg sync.WaitGroup
	made := peer.InboundFrom(ctx)
	for _, c := range h.table.serving(g.operation) {
		if v := h.suits(c, req, made); v == suitable || v == lost { // one that is lost may come back in time
			wg.Go(func() { results <- h.gatherOne(ctx, c, req, &held) })
		}
	}
	if everywhere {
		h.gatherElsewhere(ctx, g.elsewhere(), req, &wg, func(r json.RawMessage) {
			held.Add(int64(len(r)))
			results <- r
		})
	}
	go func() { wg.Wait(); close(results) }() // ends with the calls, which end with ctx; results is read to its end below
	var failed error
	for r := range results {
		held.Add(-int64(len(r)))
		if failed == nil {
			if failed = send(r); failed != nil {
				stop()
			}
		}
	}
	return failed
}

// gatherElsewhere asks the other hubs for what their spokes answer. A hub that
// cannot be asked is left out and logged: nobody knows which spokes it has.
func (h *Hub) gatherElsewhere(ctx context.Context, in json.RawMessage, req *call.Request, wg *sync.WaitGroup, give func(json.RawMessage)) {
	if h.alone() {
		return
	}
	hubs, e := h.hubsFor(ctx, req)
	if e != nil {
		h.log.Warn().Err(e).Msg("gather: the directory does not say who serves the operation elsewhere")
	}
	for _, id := range hubs {
		wg.Go(func() {
			ask := &call.Request{Operation: call.OperationGather, Input: in, Stream: true,
				Identity: req.Identity, Metadata: req.Metadata, OriginID: req.OriginID}
			e := h.tryHub(ctx, id, ask, &reading{Reading: peer.Reading{Ctx: ctx, Send: func(env call.Envelope) error { give(env.Data); return nil }}})
			if e != nil {
				h.log.Warn().Err(e).Str("link", id).Msg("gather: the answers of another hub are not complete")
			}
		})
	}
}

// gatherBytes is how many bytes of answers one gather holds for a reader who is slow; what comes beyond
// it is SLOW_CONSUMER.
const gatherBytes = 4 << 20

func (h *Hub) gatherOne(ctx context.Context, c *conn, req *call.Request, held *atomic.Int64) json.RawMessage {
	output, err := h.gatherCall(ctx, c, req)
	if held.Load()+int64(len(output)) > gatherBytes && err == nil {
		err = &call.Error{Code: call.CodeSlowConsumer, Sent: true, Message: "the answers are not read"}
	}
	b := jsonscan.AppendString([]byte(`{"spokeId":`), c.id)
	if err != nil {
		b = append(b, `,"error":{`...)
		b = append(call.AppendErrorMembers(b, asError(err)), "}}"...)
		held.Add(int64(len(b)))
		return b
	}
	b = append(append(b, `,"output":`...), output...)
	if len(output) == 0 {
		b = append(b, "null"...)
	}
	b = append(b, '}')
	held.Add(int64(len(b)))
	return b
}

// gatherCall makes one call of a gather. The error of a spoke that is detached says so.
func (h *Hub) gatherCall(ctx context.Context, c *conn, req *call.Request) ([]byte, error) {
	if since := h.table.detachedSince(c); !since.IsZero() && req.FailFast {
		return nil, &call.Error{Code: call.CodeUnavailable, Retryable: true, Message: detachedMessage(c.id, since)}
	}
	var leg call.Request
	h.makeLeg(&leg, req, req.OriginID)
	leg.ParentID = peer.InboundFrom(ctx).IDAt(c.peer)
	output, err := c.peer.Call(ctx, &leg)
	if since := h.table.detachedSince(c); err != nil && !since.IsZero() {
		e := *asError(err)
		e.Message += "; " + detachedMessage(c.id, since)
		return nil, &e
	}
	return output, err
}
