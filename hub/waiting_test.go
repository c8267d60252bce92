package hub_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
)

// A call without a time of its own that waits for a spoke ends after the default time of a unary call; one with a time, after that.
func TestWaitingForASpokeEnds(t *testing.T) {
	for name, c := range map[string]struct {
		op   string
		opts []call.Option
		want time.Duration
	}{
		"nobody serves it":               {"test.nobody", []call.Option{call.WaitForSpoke()}, call.DefaultTimeout},
		"no such spoke":                  {"test.who", []call.Option{call.WaitForSpoke(), call.To("nobody")}, call.DefaultTimeout},
		"nobody serves it, with a time":  {"test.nobody", []call.Option{call.WaitForSpoke(), call.Timeout(time.Minute)}, time.Minute},
		"detached":                       {"test.who", nil, call.DefaultTimeout},
		"detached, by id":                {"test.who", []call.Option{call.To("lost")}, call.DefaultTimeout},
		"detached, waiting for any":      {"test.who", []call.Option{call.WaitForSpoke()}, call.DefaultTimeout},
		"detached, with a time":          {"test.who", []call.Option{call.Timeout(time.Minute)}, time.Minute},
		"detached, a stream with a time": {"test.count", []call.Option{call.Timeout(time.Minute)}, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				net := hubtest.New(t, &hub.Options{AllowAnonymous: true, SessionWindow: time.Hour})
				lost := net.Spoke("lost", nil, serveWho("lost"))
				caller := net.Spoke("caller", nil, nil)
				lost.Wire.Refuse(errors.New("refused"))
				lost.Wire.Cut()
				synctest.Wait()
				for who, from := range map[string]call.Caller{"hub": net.Hub, "spoke": caller} {
					start := time.Now()
					_, err := call.Invoke[any](t.Context(), from, c.op, 1, c.opts...)
					// A spoke asks the hub again and again, and begins no attempt for which there is no time.
					early := time.Since(start) < c.want-300*time.Millisecond
					if who == "hub" && !errors.Is(err, call.CodeTimeout) || err == nil || early || time.Since(start) > c.want {
						t.Errorf("%s: %v after %v, want TIMEOUT after %v", who, err, time.Since(start), c.want)
					}
				}
			})
		})
	}
}

// An operation that its last provider withdraws cannot be called and is not listed on any hub.
func TestOperationGivenUp(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		bp := hub.NewMemoryBackplane()
		a := hubtest.New(t, &hub.Options{AllowAnonymous: true, ID: "hub-a", Backplane: bp})
		b := hubtest.New(t, &hub.Options{AllowAnonymous: true, ID: "hub-b", Backplane: bp})
		one := b.Spoke("one", nil, serveWho("one"))
		two := b.Spoke("two", nil, serveWho("two"))
		check := func(served bool) {
			t.Helper()
			synctest.Wait()
			hubs, err := bp.Directory.Providers(t.Context(), "test.who")
			if err != nil || slices.Equal(hubs, []string{"hub-b"}) != served {
				t.Errorf("providers: %v, %v", hubs, err)
			}
			for _, h := range []*hub.Hub{a.Hub, b.Hub} {
				_, err := call.Invoke[string](t.Context(), h, "test.who", nil)
				if served && err != nil || !served && !errors.Is(err, call.CodeOperationNotFound) {
					t.Errorf("at %s: %v", h.ID(), err)
				}
				ops, err := call.Invoke[any](t.Context(), h, "hub.operations", nil)
				if err != nil || listed(ops, "test.who") != served {
					t.Errorf("listed at %s: %v, %v", h.ID(), ops, err)
				}
			}
		}
		check(true)
		one.Operations().Remove("test.who")
		check(true)
		two.Operations().Remove("test.who")
		check(false)
		must(t, call.Handle(two.Operations(), call.Operation{Name: "test.who"}, func(context.Context, any) (string, error) { return "again", nil }))
		check(true)
	})
}

// listed reports whether the answer of hub.operations names the operation.
func listed(answer any, name string) bool {
	items, ok := answer.([]any)
	if page, isPage := answer.(map[string]any); isPage {
		items, ok = page["items"].([]any)
	}
	return ok && slices.ContainsFunc(items, func(i any) bool { m, _ := i.(map[string]any); return m["name"] == name })
}

// Calls that wait when the hub shuts down fail because of that, not because nothing is there.
func TestShutdownWhileCallsWait(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		lost := net.Spoke("lost", nil, serveWho("lost"))
		lost.Wire.Refuse(errors.New("refused"))
		lost.Wire.Cut()
		caller := net.Spoke("caller", nil, nil)
		synctest.Wait()
		ends := make(chan error)
		asked := 0
		for _, ask := range []struct {
			c    call.Caller
			op   string
			opts []call.Option
		}{
			{net.Hub, "test.nobody", []call.Option{call.WaitForSpoke()}},
			{net.Hub, "test.who", nil},
			{net.Hub, "test.who", []call.Option{call.To("lost")}},
			{caller, "test.who", nil},
		} {
			asked++
			go func() {
				_, err := call.Invoke[any](t.Context(), ask.c, ask.op, nil, ask.opts...)
				ends <- err
			}()
		}
		synctest.Wait()
		go net.Hub.Shutdown(t.Context())
		for range asked {
			if err := <-ends; !errors.Is(err, call.CodeUnavailable) {
				t.Error(err)
			}
		}
	})
}
