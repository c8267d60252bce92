package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/jsonscan"
	"github.com/alkdev/hubspoke/internal/peer"
	"github.com/alkdev/hubspoke/internal/wire"
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
	run := &gathering{hub: h, req: req, results: make(chan json.RawMessage)}
	made := peer.IncomingFrom(ctx)
	for _, c := range h.table.serving(g.operation) {
		switch h.suits(c, req, made) {
		case suitable, lost: // a lost one may resume in time
			run.wg.Go(func() { run.spoke(ctx, c) })
		case leaving:
			run.wg.Go(func() {
				run.failed(c.id, leaving.of(&call.Request{To: c.id}))
			})
		}
	}
	if everywhere {
		run.elsewhere(ctx, g.elsewhere())
	}
	go func() { run.wg.Wait(); close(run.results) }() // ends with the calls, which end with ctx; results is read to its end below
	var failed error
	for r := range run.results {
		run.held.Add(-int64(len(r)))
		if failed == nil {
			if failed = sendResult(r, send); failed != nil {
				stop()
			}
		}
	}
	if failed == nil && len(run.incomplete) > 0 {
		return send(append(append([]byte{'{'}, incompleteMember(run.incomplete)...), '}'))
	}
	return failed
}

// sendResult sends the result of one spoke. One that the reader does not take, because it is too large or
// nested too deep, becomes an error of that spoke, so that it costs the others nothing.
func sendResult(r json.RawMessage, send func(json.RawMessage) error) error {
	err := send(r)
	e, ok := errors.AsType[*call.Error](err)
	if !ok || e.Code != call.CodeMessageTooLarge && !errors.Is(err, jsonscan.ErrTooDeep) {
		return err
	}
	var spokeID string
	if err := jsonscan.Decode(r, jsonscan.StringField("spokeId", &spokeID)); err != nil {
		return e
	}
	return send(failedResult(spokeID, &call.Error{Code: e.Code, Message: e.Message, Sent: true}))
}

// failedResult is the result of a spoke that has no answer.
func failedResult(spokeID string, e *call.Error) json.RawMessage {
	text, _ := e.MarshalJSON() // never fails
	b := append(jsonscan.AppendString([]byte(`{"spokeId":`), spokeID), `,"error":`...)
	return append(append(b, text...), '}')
}

// gathering is one gather under way.
type gathering struct {
	hub     *Hub
	req     *call.Request
	results chan json.RawMessage
	wg      sync.WaitGroup // who may send a result
	held    atomic.Int64   // bytes of results that the reader has not taken

	mu         sync.Mutex
	incomplete []Incomplete // guarded by mu
}

// gatherBytes is how many bytes of results one gather holds for a slow reader; an answer that comes beyond
// it is SLOW_CONSUMER.
const gatherBytes = 4 << 20

// gatherCredit is how many results of another hub may be on their way: the other hub holds the rest,
// within its own bound.
const gatherCredit = 4

// spoke calls one spoke.
func (g *gathering) spoke(ctx context.Context, c *conn) {
	output, err := g.hub.gatherCall(ctx, c, g.req)
	if err != nil {
		g.failed(c.id, asError(err))
		return
	}
	g.answered(c.id, len(output), func() json.RawMessage {
		b := append(jsonscan.AppendString([]byte(`{"spokeId":`), c.id), `,"output":`...)
		if b = append(b, output...); len(output) == 0 {
			b = append(b, "null"...)
		}
		return append(b, '}')
	})
}

// answered hands on an answer of about size bytes, if there is room for it.
func (g *gathering) answered(spokeID string, size int, result func() json.RawMessage) {
	if g.held.Add(int64(size)) > gatherBytes { // counted first: many answers may come at the same moment
		g.held.Add(-int64(size))
		g.failed(spokeID, &call.Error{Code: call.CodeSlowConsumer, Sent: true,
			Message: fmt.Sprintf("the results of the gather are not read: over %d bytes are waiting", gatherBytes)})
		return
	}
	b := result()
	g.held.Add(int64(len(b) - size))
	g.results <- b
}

// failed hands on why a spoke has no answer.
func (g *gathering) failed(spokeID string, e *call.Error) {
	b := failedResult(spokeID, e)
	g.held.Add(int64(len(b)))
	g.results <- b
}

// elsewhere asks the other hubs for what their spokes answer. A hub that cannot be asked, or whose results end
// early, is recorded as incomplete: its spokes are unknown.
func (g *gathering) elsewhere(ctx context.Context, in json.RawMessage) {
	h := g.hub
	if h.alone() {
		return
	}
	hubs, e := h.hubsFor(ctx, g.req)
	if e != nil {
		g.lacks("", e)
	}
	for _, id := range hubs {
		g.wg.Go(func() {
			ask := &call.Request{Operation: wire.OperationGather, Input: in, Stream: true, Credit: gatherCredit,
				Identity: g.req.Identity, Metadata: g.req.Metadata, OriginID: g.req.OriginID}
			e := h.tryHub(id, ask, &attempts{sink: &peer.Caller{Ctx: ctx, Send: g.relayed}})
			if e != nil {
				g.lacks(id, e)
			}
		})
	}
}

// relayed hands on a result of another hub.
func (g *gathering) relayed(env call.Envelope) error {
	var spokeID string
	if err := jsonscan.Decode(env.Data, jsonscan.StringField("spokeId", &spokeID)); err != nil {
		return err
	}
	g.answered(spokeID, len(env.Data), func() json.RawMessage { return env.Data })
	return nil
}

// lacks notes that the results of a hub are missing, or those of all other hubs.
func (g *gathering) lacks(hubID string, e *call.Error) {
	g.hub.log.Warn().Err(e).Str("link", hubID).Msg("the results of a gather are incomplete")
	g.mu.Lock()
	defer g.mu.Unlock()
	g.incomplete = append(g.incomplete, Incomplete{hubID, e.Code})
}

// gatherCall makes one call of a gather. If the spoke is detached, the error names it and the time of the loss.
func (h *Hub) gatherCall(ctx context.Context, c *conn, req *call.Request) ([]byte, error) {
	if since := h.table.detachedSince(c); !since.IsZero() && req.FailFast {
		return nil, &call.Error{Code: call.CodeUnavailable, Retryable: true, Message: detachedMessage(c.id, since)}
	}
	var leg call.Request
	h.makeLeg(&leg, req, req.OriginID)
	leg.ParentID = peer.IncomingFrom(ctx).IDAt(c.peer)
	output, err := c.peer.Call(ctx, &leg)
	if since := h.table.detachedSince(c); err != nil && !since.IsZero() {
		e := *asError(err)
		e.Message += "; " + detachedMessage(c.id, since)
		return nil, &e
	}
	return output, err
}
