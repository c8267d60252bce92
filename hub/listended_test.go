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
	"github.com/alkdev/hubspoke/transport"
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

// A list whose caller has gone while another hub was asked ends as the caller's context did: it is no list that lacks a hub.
func TestListWhoseCallerHasGone(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		bp := hub.NewMemoryBackplane()
		net := hubtest.New(t, &hub.Options{AllowAnonymous: true, ID: "hub-a", Backplane: bp})
		leaveDirectory, err := bp.Directory.Join(t.Context(), "silent", func(hub.Record) {})
		if err != nil {
			t.Fatal(err)
		}
		defer leaveDirectory(t.Context())
		links := make(chan transport.Conn, 10)
		leaveLinks, err := bp.Links.Join("silent", func(_ string, c transport.Conn) { links <- c })
		if err != nil {
			t.Fatal(err)
		}
		defer leaveLinks()
		for name, list := range map[string]func(context.Context) (int, error){
			"SpokePage": func(ctx context.Context) (int, error) {
				p, err := net.Hub.SpokePage(ctx, nil, hub.ListQuery{})
				return len(p.Items) + len(p.Incomplete), err
			},
			"OperationPage": func(ctx context.Context) (int, error) {
				p, err := net.Hub.OperationPage(ctx, nil, hub.ListQuery{})
				return len(p.Items) + len(p.Incomplete), err
			},
			"AllSpokes":     func(ctx context.Context) (int, error) { l, err := net.Hub.AllSpokes(ctx, nil, nil); return len(l), err },
			"AllOperations": func(ctx context.Context) (int, error) { l, err := net.Hub.AllOperations(ctx, nil); return len(l), err },
		} {
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() {
				n, err := list(ctx)
				if n != 0 {
					t.Errorf("%s: %d items", name, n)
				}
				ended <- err
			}()
			synctest.Wait()
			select {
			case err := <-ended:
				t.Fatalf("%s did not wait for the other hub: %v", name, err)
			default:
			}
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v, want canceled", name, err)
			}
		}
		(<-links).Abort()
	})
}
