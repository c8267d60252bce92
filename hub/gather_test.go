package hub_test

import (
	"context"
	"errors"
	"testing"
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
						_ = call.Handle(r, "node.health", func(ctx context.Context, _ any) (string, error) {
							select {
							case <-time.After(takes):
								return id, nil
							case <-ctx.Done():
								return "", ctx.Err()
							}
						})
					})
				}
				var c call.Caller = net.Hub
				if viaSpoke {
					c = net.Spoke("asker", nil, nil)
				}
				start := time.Now()
				got := map[string]error{}
				for r := range call.Gather[string](t.Context(), c, "node.health", nil, call.Timeout(3*time.Second)) {
					got[r.SpokeID] = r.Err
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
