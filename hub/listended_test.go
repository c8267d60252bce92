package hub_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
)

// Four pages are built at the same time: a list that has to wait for its turn ends with its context, as does one that is built.
func TestListsEndWithTheirContext(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		open := make(chan struct{})
		net := hubtest.New(t, &hub.Options{Authorize: func(a hub.Action) error {
			if a.Identity.ID == "slow" {
				<-open
			}
			return nil
		}})
		for _, id := range []string{"a", "b"} {
			net.Spoke(id, nil, serveWho(id))
		}
		slow, fast := &call.Identity{ID: "slow"}, &call.Identity{ID: "fast"}
		lists := map[string]func(context.Context, *call.Identity) (int, error){
			"SpokePage": func(ctx context.Context, id *call.Identity) (int, error) {
				p, err := net.Hub.SpokePage(ctx, id, hub.ListQuery{})
				return len(p.Items), err
			},
			"OperationPage": func(ctx context.Context, id *call.Identity) (int, error) {
				p, err := net.Hub.OperationPage(ctx, id, hub.ListQuery{Prefix: "test."})
				return len(p.Items), err
			},
			"AllSpokes": func(ctx context.Context, id *call.Identity) (int, error) {
				list, err := net.Hub.AllSpokes(ctx, id, nil)
				return len(list), err
			},
		}
		var building sync.WaitGroup
		for range 4 {
			building.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				if n, err := lists["SpokePage"](ctx, slow); !errors.Is(err, call.CodeTimeout) || n != 0 {
					t.Errorf("built for longer than its time: %d items, %v", n, err)
				}
			})
		}
		synctest.Wait()
		for name, list := range lists {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			start := time.Now()
			if n, err := list(ctx, fast); !errors.Is(err, call.CodeTimeout) || n != 0 || time.Since(start) != time.Second {
				t.Errorf("%s: %d items, %v after %v", name, n, err, time.Since(start))
			}
			cancel()
		}
		later(20 * time.Second)
		close(open)
		building.Wait()
		for name, list := range lists {
			if n, err := list(t.Context(), fast); err != nil || n < 2 {
				t.Errorf("%s, when there is room again: %d items, %v", name, n, err)
			}
		}
		if _, err := net.Hub.SpokePage(t.Context(), nil, hub.ListQuery{Limit: -1}); !errors.Is(err, call.CodeValidation) {
			t.Errorf("limit -1: %v", err)
		}
	})
}
