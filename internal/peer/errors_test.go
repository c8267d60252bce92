package peer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/peer"
)

func TestHandlerError(t *testing.T) {
	live := t.Context()
	canceled, cancel := context.WithCancel(live)
	cancel()
	late, stop := context.WithDeadline(live, time.Unix(0, 0))
	defer stop()
	told, tell := context.WithCancelCause(live)
	tell(&call.Error{Code: call.CodeTimeout, Message: "by the hub"})
	plain := errors.New("plain")
	refused := call.Refuse(&call.Error{Code: call.CodeValidation, Message: "no", Sent: true})
	for name, c := range map[string]struct {
		ctx     context.Context
		err     error
		code    call.Code
		sent    bool
		message string
	}{
		"plain":                   {live, plain, call.CodeExecution, true, "plain"},
		"own code":                {live, &call.Error{Code: "OWN", Message: "m"}, "OWN", true, "m"},
		"claims not to run":       {live, &call.Error{Code: call.CodeOverloaded, Sent: false}, call.CodeOverloaded, true, ""},
		"bad code":                {live, &call.Error{Code: "x", Message: "m"}, call.CodeExecution, true, "m"},
		"wrapped":                 {live, fmt.Errorf("a: %w", &call.Error{Code: "OWN", Message: "m"}), "OWN", true, "a: m"},
		"wrapped twice":           {live, fmt.Errorf("b: %w", fmt.Errorf("a: %w (c)", &call.Error{Code: "OWN", Message: "m"})), "OWN", true, "b: a: m (c)"},
		"wrapped, no text":        {live, fmt.Errorf("a: %w", &call.Error{Code: "OWN"}), "OWN", true, "a: OWN"},
		"by Errorf":               {live, call.Errorf("OWN", "a: %w", &call.Error{Code: "OWN", Message: "m"}), "OWN", true, "a: m"},
		"by Errorf, another code": {live, call.Errorf("OWN", "a: %w", &call.Error{Code: "OTHER", Message: "m"}), "OWN", true, "a: OTHER: m"},
		"refusal":                 {live, refused, call.CodeValidation, false, "no"},
		"wrapped refusal":         {live, fmt.Errorf("a: %w", refused), call.CodeValidation, false, "a: no"},
		"canceled":                {canceled, canceled.Err(), call.CodeAborted, true, "the caller's context was canceled"},
		"late":                    {late, fmt.Errorf("x: %w", late.Err()), call.CodeTimeout, true, "the context's deadline passed"},
		"told":                    {told, told.Err(), call.CodeTimeout, true, "by the hub"},
		"another's context":       {live, context.Canceled, call.CodeExecution, true, "context canceled"},
		"fails in any case":       {canceled, plain, call.CodeExecution, true, "plain"},
	} {
		got := peer.HandlerError(c.ctx, c.err)
		if got.Code != c.code || got.Sent != c.sent || got.Message != c.message {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if peer.HandlerError(live, nil) != nil || call.Refuse(nil) != nil {
		t.Error("nil is an error")
	}
	mine := &call.Error{Code: "OWN"}
	if peer.HandlerError(live, mine); mine.Sent {
		t.Error("the handler's own error was changed")
	}
	if !errors.Is(refused, call.CodeValidation) {
		t.Error("a refusal hides its error")
	}
}

func TestContextError(t *testing.T) {
	cause := errors.New("changed my mind")
	because, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	e := peer.ContextError(because, false)
	if e.Code != call.CodeAborted || e.Sent || !errors.Is(e, context.Canceled) || !strings.Contains(e.Message, cause.Error()) {
		t.Errorf("%+v", e)
	}
	late, stop := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer stop()
	for _, ctx := range []context.Context{late, t.Context()} { // one whose timer has not fired is late too
		if e := peer.ContextError(ctx, true); e.Code != call.CodeTimeout || !e.Sent || !errors.Is(e, context.DeadlineExceeded) {
			t.Errorf("%+v", e)
		}
	}
}
