package hub_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/spoke"
)

// A call that fails is logged at level debug by its caller, by the hub, and where its handler ran; the error names the spoke and
// the hub between which it failed.
func TestFailedCallsAreLogged(t *testing.T) {
	for name, c := range map[string]struct {
		op      string
		code    call.Code
		names   []string // in the error that the embedding program sees
		handler bool     // the worker's log has a line too
	}{
		"handler's error": {"test.fails", "EXECUTION_ERROR", []string{"on purpose"}, true},
		"handler's code":  {"test.code", "CARD_DECLINED", []string{"no money"}, true},
		"deaf handler":    {"test.deaf", call.CodeTimeout, []string{"spoke worker", "hub h1"}, false},
		"lost":            {"test.dies", call.CodeDisconnected, []string{"spoke worker", "hub h1"}, true},
		"nowhere":         {"test.nowhere", call.CodeOperationNotFound, []string{"test.nowhere"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				var atHub, atWorker, atCaller logLines
				net := hubtest.New(t, &hub.Options{AllowAnonymous: true, ID: "h1", Logger: atHub.logger(zerolog.DebugLevel), SessionWindow: -1})
				var worker *hubtest.Spoke
				worker = net.Spoke("worker", &spoke.Options{Logger: atWorker.logger(zerolog.DebugLevel)}, func(r *call.Registry) {
					must(t, call.Handle(r, call.Operation{Name: "test.fails"}, func(context.Context, any) (any, error) { return nil, errors.New("on purpose") }))
					must(t, call.Handle(r, call.Operation{Name: "test.code"}, func(context.Context, any) (any, error) { return nil, call.Errorf("CARD_DECLINED", "no money") }))
					must(t, call.Handle(r, call.Operation{Name: "test.deaf"}, func(context.Context, any) (any, error) { later(time.Minute); return nil, nil }))
					must(t, call.Handle(r, call.Operation{Name: "test.dies"}, func(ctx context.Context, _ any) (any, error) {
						worker.Wire.Cut()
						<-ctx.Done()
						return nil, ctx.Err()
					}))
				})
				caller := net.Spoke("caller", &spoke.Options{Logger: atCaller.logger(zerolog.DebugLevel)}, nil)
				synctest.Wait()
				check := func(log *logLines, who string, want int) {
					t.Helper()
					lines := log.take(`"message":"call failed"`)
					if len(lines) < want {
						t.Errorf("%s has %d lines, want %d: %v", who, len(lines), want, lines)
					}
					for _, line := range lines {
						for _, part := range []string{`"level":"debug"`, `"operation":"` + c.op + `"`, `"code":"`, `"sent":`, `"error":`} {
							if !strings.Contains(line, part) {
								t.Errorf("%s: no %s in %s", who, part, line)
							}
						}
					}
				}
				workers := 0
				if c.handler {
					workers = 1
				}
				_, err := call.Invoke[any](t.Context(), net.Hub, c.op, nil, call.Timeout(10*time.Second))
				if !errors.Is(err, c.code) {
					t.Errorf("%v, want %s", err, c.code)
				}
				for _, n := range c.names {
					if !strings.Contains(err.Error(), n) {
						t.Errorf("%q is not named in: %v", n, err)
					}
				}
				later(time.Minute)
				check(&atHub, "the hub that calls", 1)
				check(&atWorker, "the worker", workers)
				if _, err = call.Invoke[any](t.Context(), caller, c.op, nil, call.Timeout(10*time.Second)); err == nil {
					t.Error("no error")
				}
				if c.code == call.CodeTimeout && !strings.Contains(err.Error(), "hub h1") {
					t.Errorf("the caller's error names no hub: %v", err)
				}
				later(time.Minute)
				check(&atCaller, "the spoke that calls", 1)
				check(&atHub, "the hub on the way", 1)
				check(&atWorker, "the worker", workers)
			})
		})
	}
}
