package spoke_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/spoke"
)

func answerID(_ context.Context, _ any) (string, error) { return "here", nil }

// Operations that are added later until the hub would not take the registration are refused where they are added; the
// spoke stays, also across a reconnect, and serves all that it took.
func TestRegistrationGrows(t *testing.T) {
	for name, c := range map[string]struct {
		options  hub.Options
		describe string
		option   string
	}{
		"bytes":      {hub.Options{MaxRegistrationBytes: 4 << 10}, strings.Repeat("d", 300), "hub.Options.MaxRegistrationBytes"},
		"operations": {hub.Options{MaxOperations: 7}, "", "hub.Options.MaxOperations"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				n := hubtest.New(t, &c.options)
				s := n.Spoke("worker", nil, func(r *call.Registry) { must(t, call.Handle(r, call.Operation{Name: "grow.op"}, answerID)) })
				added := 0
				for {
					err := call.Handle(s.Operations(), call.Operation{Name: fmt.Sprintf("grow.op%d", added), Description: c.describe}, answerID)
					if err != nil {
						if !errors.Is(err, call.ErrRegistryFull) || !strings.Contains(err.Error(), c.option) {
							t.Error(err)
						}
						break
					}
					if added++; added > 100 {
						t.Fatal("no end")
					}
					synctest.Wait()
				}
				if added < 5 {
					t.Errorf("only %d operations were added", added)
				}
				must(t, s.Reconnect(t.Context()))
				for i := range added {
					if _, err := call.Invoke[string](t.Context(), n.Hub, fmt.Sprintf("grow.op%d", i), nil); err != nil {
						t.Error(err)
					}
				}
				s.Operations().Remove("grow.op")
				synctest.Wait()
				must(t, call.Handle(s.Operations(), call.Operation{Name: "grow.last"}, answerID)) // there is room again
				synctest.Wait()
				if _, err := call.Invoke[string](t.Context(), n.Hub, "grow.last", nil); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// An operation that the hub refuses on a live connection is reported and not served; it neither ends the connection nor
// the spoke at its next reconnect.
func TestRefusedOperationCostsNothingElse(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := hubtest.New(t, &hub.Options{Authorize: func(a hub.Action) error {
			if a.Verb == hub.Serve && a.Name == "secret.op" {
				return errors.New("not for you")
			}
			return nil
		}})
		s := n.Spoke("worker", nil, func(r *call.Registry) { must(t, call.Handle(r, call.Operation{Name: "good.op"}, answerID)) })
		must(t, call.Handle(s.Operations(), call.Operation{Name: "secret.op"}, answerID))
		synctest.Wait()
		for range 3 {
			must(t, s.Reconnect(t.Context()))
			if _, err := call.Invoke[string](t.Context(), n.Hub, "good.op", nil); err != nil {
				t.Error(err)
			}
			if _, err := call.Invoke[string](t.Context(), n.Hub, "secret.op", nil); !errors.Is(err, call.CodeOperationNotFound) {
				t.Error(err)
			}
		}
		s.Operations().Remove("secret.op")
		must(t, call.Handle(s.Operations(), call.Operation{Name: "later.op"}, answerID))
		synctest.Wait()
		if _, err := call.Invoke[string](t.Context(), n.Hub, "later.op", nil); err != nil {
			t.Error(err)
		}
	})
}

// What the hub would refuse of a description is refused where it is made.
func TestDescriptionsAreChecked(t *testing.T) {
	s, err := spoke.New("ws://hub.test", nil)
	must(t, err)
	deep := json.RawMessage(strings.Repeat("[", 251) + strings.Repeat("]", 251))
	for name, op := range map[string]call.Operation{
		"hub":          {Name: "hub.mine"},
		"latin schema": {Name: "a.b", InputSchema: json.RawMessage("{\"title\":\"\xe9\"}")},
		"no schema":    {Name: "a.b", OutputSchema: json.RawMessage("{")},
		"deep schema":  {Name: "a.b", OutputSchema: deep},
		"description":  {Name: "a.b", Description: "\xe9"},
		"scope":        {Name: "a.b", Access: call.AccessControl{RequiredScopes: []string{"\xe9"}}},
		"long name":    {Name: "a." + strings.Repeat("x", 255)},
		"DEL":          {Name: "a.\x7f"},
	} {
		h := func(context.Context, *call.Request, func(call.Envelope) error) error { return nil }
		if err := s.Operations().Register(op, h); !errors.Is(err, call.ErrInvalidOperation) {
			t.Errorf("%s: %v", name, err)
		}
	}
	must(t, call.Handle(s.Operations(), call.Operation{Name: "a." + strings.Repeat("x", 254)}, answerID))
}

// The limits of a registration, at the exact values.
func TestNamesAreChecked(t *testing.T) {
	for id, ok := range map[string]bool{
		strings.Repeat("x", 128): true, strings.Repeat("x", 129): false, "a\x7eb": true, "a\x7fb": false, "a\x1fb": false,
		"a b": true, "\xff": false, "\u0085": false, "\u00a0": true, "\ufffd": false, "*": false, "a.>": false, "a:*": false, "a.*b": true,
	} {
		if _, err := spoke.New("ws://hub.test", &spoke.Options{ID: id}); (err == nil) != ok || err != nil && !errors.Is(err, spoke.ErrOptions) {
			t.Errorf("id %q: %v", id, err)
		}
	}
	for name, o := range map[string]spoke.Options{
		"name": {Name: "\xe9"}, "version": {Version: "\xe9"}, "label": {Labels: map[string]string{"\xe9": "a"}}, "value": {Labels: map[string]string{"a": "\xe9"}},
		"depth": {MaxDepth: 9901}, "negative depth": {MaxDepth: -1},
	} {
		if _, err := spoke.New("ws://hub.test", &o); !errors.Is(err, spoke.ErrOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Operations that are added while the spoke looks for what to announce wait for nothing that waits for them.
func TestOperationsAndLabelsChangeConcurrently(t *testing.T) {
	net := hubtest.New(t, nil)
	s := net.Spoke("w", nil, nil)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 200 {
				name := fmt.Sprintf("g%d.op%d", g, i)
				if err := call.Handle(s.Operations(), call.Operation{Name: name}, answerID); err != nil {
					t.Error(err)
				}
				s.Operations().Remove(name)
			}
		})
	}
	for i := range 20 {
		if err := s.SetLabels(t.Context(), map[string]string{"i": fmt.Sprint(i)}); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
}
