package hub_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/rs/zerolog"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
)

// logLines collects what a logger writes.
type logLines struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// take returns the lines with the text that came since the last time.
func (l *logLines) take(text string) (out []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.buf.String()) {
		if strings.Contains(line, text) {
			out = append(out, strings.TrimSpace(line))
		}
	}
	l.buf.Reset()
	return out
}

func (l *logLines) logger(level zerolog.Level) *zerolog.Logger {
	log := zerolog.New(l).Level(level)
	return &log
}

// Workers that describe one operation differently are a mistake in a rollout: the hub logs it once.
func TestOneOperationDescribedDifferently(t *testing.T) {
	schema := func(in, out string) call.Operation {
		return call.Operation{InputSchema: json.RawMessage(in), OutputSchema: json.RawMessage(out)}
	}
	for name, c := range map[string]struct {
		one, two call.Operation
		differs  string
	}{
		"same":           {call.Operation{}, call.Operation{}, ""},
		"same schemas":   {schema(`{"type":"object","required":["a"]}`, `{}`), schema(`{ "required": ["a"], "type": "object" }`, `{}`), ""},
		"description":    {call.Operation{Description: "a"}, call.Operation{Description: "b"}, ""},
		"type":           {call.Operation{}, call.Operation{Type: call.Mutation}, "type"},
		"input":          {schema(`{"type":"string"}`, ``), schema(`{"type":"number"}`, ``), "inputSchema"},
		"output missing": {schema(``, `{"type":"string"}`), call.Operation{}, "outputSchema"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				var log logLines
				net := hubtest.New(t, &hub.Options{AllowAnonymous: true, Logger: log.logger(zerolog.InfoLevel)})
				serve := func(op call.Operation) func(*call.Registry) {
					op.Name = "test.op"
					return func(r *call.Registry) {
						must(t, call.Handle(r, op, func(context.Context, any) (any, error) { return nil, nil }))
					}
				}
				var all []*hubtest.Spoke
				for i := range 6 {
					op := c.one
					if i > 0 {
						op = c.two
					}
					all = append(all, net.Spoke(fmt.Sprint("s", i), nil, serve(op)))
				}
				check := func(want int) {
					t.Helper()
					synctest.Wait()
					lines := log.take("describe one operation differently")
					if c.differs == "" {
						want = 0
					}
					if len(lines) != want {
						t.Errorf("%d warnings, want %d: %v", len(lines), want, lines)
					}
					for _, line := range lines {
						if !strings.Contains(line, `"level":"warn"`) || !strings.Contains(line, `"operation":"test.op"`) ||
							!strings.Contains(line, fmt.Sprintf("%q:%q", "differs", c.differs)) || !strings.Contains(line, `"spoke":"s`) || !strings.Contains(line, `"other":"s`) {
							t.Error(line)
						}
					}
				}
				check(1)
				wantVariants(t, net.Hub, c.differs != "")
				all[5].Operations().Remove("test.op")
				serve(c.two)(all[5].Operations())
				check(0) // it is known
				for _, s := range all {
					s.Operations().Remove("test.op")
				}
				synctest.Wait()
				serve(c.one)(all[0].Operations())
				serve(c.two)(all[1].Operations())
				check(1) // as for new ones
			})
		})
	}
}

// wantVariants looks at the lists: the one of a hub, and what a caller gets.
func wantVariants(t *testing.T, h *hub.Hub, want bool) {
	t.Helper()
	all, err := h.AllOperations(t.Context(), nil)
	must(t, err)
	page, err := call.Invoke[hub.Page[hub.OperationInfo]](t.Context(), h, "hub.operations", nil)
	must(t, err)
	for _, list := range [][]hub.OperationInfo{all, page.Items, h.ListOperations(nil)} {
		i := slices.IndexFunc(list, func(o hub.OperationInfo) bool { return o.Name == "test.op" })
		if i < 0 {
			t.Fatalf("not listed: %+v", list)
		}
		op := list[i]
		if n := len(op.Variants); n > 1 || (n == 1) != want || op.Spokes != 6 {
			t.Errorf("%+v", op)
		}
		for _, v := range op.Variants {
			if v.Name != "test.op" || v.Type == op.Type && string(v.InputSchema) == string(op.InputSchema) && string(v.OutputSchema) == string(op.OutputSchema) {
				t.Errorf("%+v does not differ from %+v", v, op.Operation)
			}
		}
	}
}

// Descriptions by spokes of different hubs are merged.
func TestVariantsOfTwoHubs(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		a, b := twoHubs(t)
		for i, n := range []*hubtest.Network{a, b} {
			for k := range 3 {
				n.Spoke(fmt.Sprint(i, "-", k), nil, func(r *call.Registry) {
					typ := call.Query
					if i == 1 {
						typ = call.Mutation
					}
					must(t, call.Handle(r, call.Operation{Name: "test.op", Type: typ}, func(context.Context, any) (any, error) { return nil, nil }))
				})
			}
		}
		synctest.Wait()
		for _, h := range []*hub.Hub{a.Hub, b.Hub} {
			all, err := h.AllOperations(t.Context(), nil)
			must(t, err)
			i := slices.IndexFunc(all, func(o hub.OperationInfo) bool { return o.Name == "test.op" })
			if i < 0 || all[i].Spokes != 6 || len(all[i].Variants) != 1 || all[i].Variants[0].Type == all[i].Type {
				t.Errorf("%+v", all)
			}
			page, err := call.Invoke[hub.Page[json.RawMessage]](t.Context(), h, "hub.operations", map[string]any{"operation": "test.op", "fields": []string{"description"}})
			if err != nil || len(page.Items) != 1 || strings.Contains(string(page.Items[0]), "variants") {
				t.Errorf("%s, %v", page.Items, err)
			}
		}
	})
}
