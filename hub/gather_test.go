package hub_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
)

// Each spoke's answer comes as it is there, and a TIMEOUT for those without one,
// to the hub's own program as well as to a spoke.
func TestGatherWithPartialResults(t *testing.T) {
	for name, viaSpoke := range map[string]bool{"from the hub": false, "from a spoke": true} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				net := hubtest.New(t, nil)
				for id, takes := range map[string]time.Duration{"quick": 0, "slow": time.Second, "never": time.Hour} {
					net.Spoke(id, nil, func(r *call.Registry) {
						registered(call.Handle(r, call.Operation{Name: "node.health"}, func(ctx context.Context, _ any) (string, error) {
							select {
							case <-time.After(takes):
								return id, nil
							case <-ctx.Done():
								return "", ctx.Err()
							}
						}))
					})
				}
				var c call.Caller = net.Hub
				if viaSpoke {
					c = net.Spoke("asker", nil, nil)
				}
				start := time.Now()
				got := map[string]error{}
				for r, err := range call.Gather[string](t.Context(), c, "node.health", nil, call.Timeout(3*time.Second)) {
					got[r.SpokeID] = cmp.Or(err, r.Err)
					if r.Err == nil && r.Output != r.SpokeID {
						t.Errorf("%+v", r)
					}
				}
				if len(got) != 3 || got["quick"] != nil || got["slow"] != nil || !errors.Is(got["never"], call.CodeTimeout) {
					t.Errorf("%v", got)
				}
				if took := time.Since(start); took > 4*time.Second {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

// The bound on what a gather holds for a slow reader counts answers that come at the same moment, of this hub and of others.
func TestGatherHoldsItsBoundAtOneMoment(t *testing.T) {
	const size = 900 << 10
	big := strings.Repeat("x", size)
	// A hub hands one result on; of another hub's, 4 are on their way, and either hub holds one.
	for name, beyond := range map[string]int{"one hub": 1, "another hub": 6} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				a, b := twoHubs(t)
				net := a
				if name != "one hub" {
					net = b
				}
				release := make(chan struct{})
				for i := range 24 {
					net.Spoke(fmt.Sprint("w", i), nil, func(r *call.Registry) {
						registered(call.Handle(r, call.Operation{Name: "test.big"}, func(context.Context, json.RawMessage) (string, error) {
							<-release
							return big, nil
						}))
					})
				}
				time.AfterFunc(time.Second, func() { close(release) })
				held, refused, n := 0, 0, 0
				for r, err := range call.Gather[string](t.Context(), a.Hub, "test.big", nil) {
					if n++; n == 1 {
						later(time.Second) // all others answer meanwhile
						continue
					}
					if e, _ := errors.AsType[*call.Error](cmp.Or(err, r.Err)); e != nil {
						if e.Code != call.CodeSlowConsumer || !e.Sent {
							t.Error(e)
						}
						refused++
					}
					held += len(r.Output)
				}
				if n != 24 || held > 4<<20+beyond*size || refused == 0 {
					t.Errorf("%d results, %d bytes were held, %d refused", n, held, refused)
				}
			})
		})
	}
}

// A gather does not call a draining spoke, and reports it.
func TestGatherNamesDrainingSpokes(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		net.Spoke("up", nil, serveWho("up"))
		w := net.Spoke("w", nil, serveWho("w"))
		go func() {
			_, _ = call.Invoke[string](t.Context(), net.Hub, "test.wait", nil, call.To("w"), call.Timeout(time.Minute))
		}()
		synctest.Wait()
		go func() { _ = w.Shutdown(t.Context()) }()
		synctest.Wait()
		got := map[string]error{}
		for r, err := range call.Gather[string](t.Context(), net.Hub, "test.who", nil) {
			got[r.SpokeID] = cmp.Or(err, r.Err)
		}
		if len(got) != 2 || got["up"] != nil || !errors.Is(got["w"], call.CodeUnavailable) {
			t.Errorf("%v", got)
		}
	})
}

// What cannot be a gather is refused before any spoke is asked. Its timeout is in milliseconds, at most a day.
func TestGatherChecksItsInput(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		times := make(chan time.Duration, 10)
		net.Spoke("worker", nil, func(r *call.Registry) {
			registered(call.Handle(r, call.Operation{Name: "node.health"}, func(ctx context.Context, _ any) (string, error) {
				deadline, _ := ctx.Deadline()
				times <- time.Until(deadline)
				return "well", nil
			}))
		})
		gather := func(input string) error {
			_, err := net.Hub.Call(t.Context(), &call.Request{Operation: "hub.gather", Input: json.RawMessage(input)})
			for range net.Hub.Stream(t.Context(), &call.Request{Operation: "hub.gather", Input: json.RawMessage(input)}) {
			}
			return err
		}
		for input, want := range map[string]string{
			`{}`: "no operationId", `{"operationId":""}`: "no operationId", `{"operationId":7}`: `"operationId"`, `[]`: "object",
			`{"operationId":"node.health","timeout":-1}`: "the timeout is negative", `{"operationId":"node.health","timeout":"1"}`: `"timeout"`,
			`{"operationId":"node.health","selector":[]}`: `"selector"`, `{"operationId":"node.health","failFast":1}`: `"failFast"`,
		} {
			if err := gather(input); !errors.Is(err, call.CodeValidation) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", input, err)
			}
		}
		if n := len(times); n != 0 {
			t.Errorf("%d spokes were asked", n)
		}
		for input, want := range map[string]time.Duration{
			`{"operationId":"node.health"}`: call.DefaultTimeout, `{"operationId":"node.health","timeout":0}`: call.DefaultTimeout,
			`{"operationId":"node.health","timeout":1500}`: 1500 * time.Millisecond, `{"operationId":"node.health","timeout":9223372036854775807}`: 24 * time.Hour,
		} {
			for _, err := range net.Hub.Stream(t.Context(), &call.Request{Operation: "hub.gather", Input: json.RawMessage(input)}) {
				if err != nil {
					t.Errorf("%s: %v", input, err)
				}
			}
			if got := <-times; got != want {
				t.Errorf("%s: the spoke has %v, want %v", input, got, want)
			}
		}
	})
}
