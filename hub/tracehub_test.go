package hub_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/pubsub"
)

// traceHub is the hub of a trace and the program around it. What it can do:
//
//	call OPERATION INPUT [{"to":…,"timeout":ms,"labels":{…},"as":…}]
//	stream OPERATION INPUT [likewise]
//	cancel              the newest of these
//	publish TOPIC PAYLOAD
//	disconnect SPOKE
//	shutdown DURATION   in the background, with this much time
//	stats               what was counted as wrong
//	sessions            those that wait, and how often one went on
type traceHub struct {
	*hub.Hub
	name   string
	wg     sync.WaitGroup
	cancel context.CancelFunc

	mu    sync.Mutex
	lines []string // guarded by mu
}

func (h *traceHub) say(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, fmt.Sprintf(format, args...))
}

func (h *traceHub) take() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := h.lines
	h.lines = nil
	return out
}

func (h *traceHub) do(r *traceRun, line string) {
	f := strings.SplitN(line, " ", 4)
	arg := func(i int) string {
		if i < len(f) {
			return r.names.expand(f[i])
		}
		return ""
	}
	ctx, cancel := context.WithCancel(context.Background())
	switch f[0] {
	case "call", "stream":
		h.cancel = cancel
		req := traceRequest(r, arg(1), arg(2), arg(3))
		h.wg.Go(func() { defer cancel(); h.ask(ctx, f[0], req) })
		return
	case "cancel":
		h.cancel()
	case "publish":
		err := h.Events().Dispatch(ctx, pubsub.Event{Topic: arg(1), Payload: json.RawMessage(arg(2))})
		if err != nil {
			h.say("%v", err)
		}
	case "disconnect":
		done, err := h.Disconnect(ctx, arg(1), "by the operator")
		if err != nil {
			h.say("%v", err)
		}
		h.say("%v", done)
	case "shutdown":
		d, _ := time.ParseDuration(arg(1))
		h.wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), d)
			defer cancel()
			h.say("shutdown: %v", h.Shutdown(ctx))
		})
	case "stats":
		s := h.Stats()
		h.say("malformed %d, unknown %d, late %d, duplicates %d, overloaded %d, refused %d",
			s.Malformed, s.Unknown, s.Late, s.Duplicates, s.Overloaded, s.Refused)
	case "sessions":
		s := h.Stats()
		h.say("spokes %d, waiting %d, resumed %d, bytes %d", s.Spokes, s.Waiting, s.Resumed, s.QueuedBytes)
	default:
		r.t.Fatalf("hub> %s?", line)
	}
	cancel()
}

func traceRequest(r *traceRun, operation, input, options string) *call.Request {
	req := call.NewRequest(operation, json.RawMessage(input))
	if options == "" {
		return req
	}
	var o struct {
		To      string
		Timeout int
		Labels  map[string]string
		As      string
		Credit  int
	}
	if err := json.Unmarshal([]byte(options), &o); err != nil {
		r.t.Fatal(err)
	}
	req.To, req.Timeout, req.Selector = o.To, time.Duration(o.Timeout)*time.Millisecond, o.Labels
	req.Credit = o.Credit
	if o.As != "" {
		req.Identity = &call.Identity{ID: o.As}
	}
	return req
}

func (h *traceHub) ask(ctx context.Context, how string, req *call.Request) {
	if how == "call" {
		out, err := h.Call(ctx, req)
		h.answered(out, err)
		return
	}
	for out, err := range h.Stream(ctx, req) {
		h.answered(out, err)
		if err != nil {
			return
		}
	}
	h.say("completed")
}

func (h *traceHub) answered(out call.Envelope, err error) {
	if err == nil {
		b, _ := json.Marshal(out)
		h.say("%s", b)
		return
	}
	e, ok := errors.AsType[*call.Error](err)
	if !ok {
		h.say("not a *call.Error: %v", err)
		return
	}
	b, _ := json.Marshal(e)
	h.say("error %s", b)
}
