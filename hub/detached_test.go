package hub_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/spoke"
)

// loseSpoke cuts the connection of a spoke that cannot dial again until back is called, and lets d pass.
func loseSpoke(w *hubtest.Spoke, d time.Duration) (back func()) {
	w.Wire.Refuse(errors.New("no route"))
	w.Wire.Cut()
	later(d)
	return func() { w.Wire.Refuse(nil); later(10 * time.Second) }
}

// A spoke whose connection was lost is listed as detached, with the time of the loss, until it resumes.
func TestListsShowTheState(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		w := net.Spoke("w", nil, serveWho("w"))
		check := func(want hub.SpokeState) hub.SpokeInfo {
			t.Helper()
			list := net.Hub.Spokes(nil)
			if len(list) != 1 || list[0].State != want || list[0].DetachedAt.IsZero() != (want != hub.SpokeDetached) {
				t.Fatalf("%+v, want the state %s", list, want)
			}
			return list[0]
		}
		check(hub.SpokeConnected)
		lost := time.Now()
		back := loseSpoke(w, 3*time.Second)
		if got := check(hub.SpokeDetached).DetachedAt; !got.Equal(lost) {
			t.Errorf("detached at %v, want %v", got, lost)
		}
		back()
		check(hub.SpokeConnected)
	})
}

// A detached spoke is announced as such, then as resumed or as disconnected; nothing is announced twice.
func TestPresenceOfADetachedSpoke(t *testing.T) {
	for name, resumes := range map[string]bool{"resumed": true, "not resumed": false} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				net := hubtest.New(t, nil)
				var mu sync.Mutex
				got := map[string][]string{}
				for _, topic := range []string{hub.TopicConnected, hub.TopicDetached, hub.TopicResumed, hub.TopicDisconnected} {
					for _, suffix := range []string{"", ":w"} {
						stop, err := net.Hub.Events().Listen(t.Context(), topic+suffix, func(ev pubsub.Event) {
							var p hub.Presence
							if err := json.Unmarshal(ev.Payload, &p); err != nil {
								t.Error(err)
							}
							mu.Lock()
							defer mu.Unlock()
							got[suffix] = append(got[suffix], fmt.Sprintf("%s %s %q", topic, p.SpokeID, p.Reason))
						})
						if err != nil {
							t.Fatal(err)
						}
						defer stop()
					}
				}
				w := net.Spoke("w", nil, serveWho("w"))
				back := loseSpoke(w, time.Second)
				want := []string{`hub.spoke.connected w ""`, `hub.spoke.detached w "connection lost"`}
				if resumes {
					back()
					want = append(want, `hub.spoke.resumed w ""`)
				} else {
					later(time.Minute)
					want = append(want, `hub.spoke.disconnected w "connection lost"`)
				}
				mu.Lock()
				defer mu.Unlock()
				for _, suffix := range []string{"", ":w"} {
					if fmt.Sprint(got[suffix]) != fmt.Sprint(want) {
						t.Errorf("%q: announced %q, want %q", suffix, got[suffix], want)
					}
				}
			})
		})
	}
}

// The error of a call to a detached spoke names the spoke and the time of the loss; with FailFast immediately.
func TestErrorsNameTheDetachedSpoke(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, &hub.Options{AllowAnonymous: true, SessionWindow: time.Hour})
		asker := net.Spoke("asker", nil, nil)
		loseSpoke(net.Spoke("w", nil, serveWho("w")), 3*time.Second)
		callers := map[string]call.Caller{"hub": net.Hub, "spoke": asker}
		for name, c := range callers {
			for _, opts := range [][]call.Option{nil, {call.To("w")}, {call.Select(nil), call.WaitForSpoke()}} {
				start := time.Now()
				_, err := call.Invoke[string](t.Context(), c, "test.who", nil, append(opts, call.FailFast())...)
				ago := fmt.Sprintf("spoke w is detached (connection lost %d s ago)", int(time.Since(lostAt(t, net.Hub)).Seconds()))
				if e, _ := errors.AsType[*call.Error](err); e == nil || e.Code != call.CodeUnavailable || e.Sent || !e.Retryable ||
					!strings.Contains(e.Message, ago) || time.Since(start) != 0 {
					t.Errorf("%s: %v after %v, want %s immediately", name, err, time.Since(start), ago)
				}
			}
			for err := range gathered(t.Context(), c, call.FailFast()) {
				if !errors.Is(err, call.CodeUnavailable) || !strings.Contains(err.Error(), "spoke w is detached (connection lost ") {
					t.Errorf("%s: gather: %v", name, err)
				}
			}
		}
		for name, c := range callers { // without it the call waits, and its error then names the reason
			_, err := call.Invoke[string](t.Context(), c, "test.who", nil, call.To("w"), call.Timeout(7*time.Second))
			ago := fmt.Sprintf("spoke w is detached (connection lost %d s ago)", int(time.Since(lostAt(t, net.Hub)).Seconds()))
			if !errors.Is(err, call.CodeTimeout) || name == "hub" && !strings.Contains(err.Error(), ago) {
				t.Errorf("%s: %v, want TIMEOUT and %s", name, err, ago)
			}
			for err := range gathered(t.Context(), c, call.Timeout(7*time.Second)) {
				if !errors.Is(err, call.CodeTimeout) || !strings.Contains(err.Error(), "spoke w is detached (connection lost ") {
					t.Errorf("%s: gather: %v", name, err)
				}
			}
		}
	})
}

func lostAt(t *testing.T, h *hub.Hub) time.Time {
	t.Helper()
	for _, s := range h.Spokes(nil) {
		if s.SpokeID == "w" {
			return s.DetachedAt
		}
	}
	t.Fatal("w is not listed")
	return time.Time{}
}

// gathered yields the errors of a gather that reaches one spoke.
func gathered(ctx context.Context, c call.Caller, opts ...call.Option) func(func(error) bool) {
	return func(yield func(error) bool) {
		n := 0
		for r, err := range call.Gather[string](ctx, c, "test.who", nil, opts...) {
			n++
			if !yield(cmp.Or(err, r.Err)) {
				return
			}
		}
		if n != 1 {
			yield(fmt.Errorf("%d results", n))
		}
	}
}

// FailFast crosses hubs: the hub that has the spoke refuses.
func TestFailFastAtAnotherHub(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		a, b := twoHubs(t)
		loseSpoke(b.Spoke("w", nil, serveWho("w")), 2*time.Second)
		for _, opts := range [][]call.Option{nil, {call.To("w")}} {
			start := time.Now()
			_, err := call.Invoke[string](t.Context(), a.Hub, "test.who", nil, append(opts, call.FailFast())...)
			if !errors.Is(err, call.CodeUnavailable) || !strings.Contains(err.Error(), "spoke w is detached (connection lost 2 s ago)") || time.Since(start) > time.Second {
				t.Errorf("%v after %v", err, time.Since(start))
			}
		}
		synctest.Wait()
	})
}

// If several spokes that serve an operation are detached, the error names the one that was lost last, and how many others
// there are: not those that do not serve it, or have other labels.
func TestSeveralDetached(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, &hub.Options{AllowAnonymous: true, SessionWindow: time.Hour})
		labels := map[string]string{"zone": "a"}
		for i, id := range []string{"first", "second", "third", "other", "elsewhere"} {
			operations := serveWho(id)
			if id == "other" {
				operations = nil
			}
			o := &spoke.Options{Labels: labels}
			if id == "elsewhere" {
				o.Labels = map[string]string{"zone": "b"}
			}
			s := net.Spoke(id, o, operations)
			later(time.Duration(i+1) * time.Second)
			s.Wire.Refuse(errors.New("refused"))
			s.Wire.Cut()
			synctest.Wait()
		}
		later(time.Second)
		for _, c := range []struct {
			opts []call.Option
			want string
		}{
			{[]call.Option{call.Select(labels)}, "spoke third is detached (connection lost 10 s ago), as are 2 others that serve test.who"},
			{nil, "spoke elsewhere is detached (connection lost 1 s ago), as are 3 others that serve test.who"},
			{[]call.Option{call.To("first")}, "spoke first is detached (connection lost 15 s ago)"},
			{[]call.Option{call.Select(map[string]string{"zone": "b"})}, "spoke elsewhere is detached (connection lost 1 s ago)"},
		} {
			_, err := call.Invoke[string](t.Context(), net.Hub, "test.who", nil, append(c.opts, call.FailFast())...)
			if e, ok := errors.AsType[*call.Error](err); !ok || e.Code != call.CodeUnavailable || e.Message != c.want {
				t.Errorf("%v, want %s", err, c.want)
			}
		}
	})
}
