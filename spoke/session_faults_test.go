package spoke_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/spoke"
	"github.com/alkdev/hubspoke/transport"
)

// In any order of lost connections, closes by proxies, lost answers and restarts of the hub: no handler runs twice, an
// error that reports that a call did not run is true, and the spoke is registered in the end.
func TestFaultsInAnyOrder(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				rnd := rand.New(rand.NewPCG(seed, 8))
				m := newMiddle(t)
				var mu sync.Mutex
				ran := map[int]int{}
				serve := func(r *call.Registry) {
					if err := call.Handle(r, call.Operation{Name: "test.once"}, func(_ context.Context, n int) (int, error) {
						mu.Lock()
						ran[n]++
						mu.Unlock()
						later(time.Duration(n%7) * 100 * time.Millisecond)
						return n, nil
					}); err != nil {
						t.Error(err)
					}
				}
				h := m.hub(own, hub.Options{SessionWindow: 5 * time.Second})
				serve(h.Operations())
				s, _ := m.spoke("a", spoke.Options{BackoffMax: 500 * time.Millisecond}, serve)
				var calls sync.WaitGroup
				answered := 0
				for n := range 200 {
					c, opts := call.Caller(s), []call.Option{call.Timeout(30 * time.Second)}
					if n%2 == 0 {
						c, opts = h, append(opts, call.To("a"))
					}
					calls.Go(func() {
						out, err := call.Invoke[int](t.Context(), c, "test.once", n, opts...)
						mu.Lock()
						defer mu.Unlock()
						switch e, ok := err.(*call.Error); { //nolint:errorlint // what Invoke returns
						case err == nil && out == n:
							answered++
						case err == nil || !ok:
							t.Errorf("call %d: %d, %v", n, out, err)
						case !e.Sent && ran[n] > 0:
							t.Errorf("call %d ran, but its error says that it did not: %v", n, err)
						}
						if ran[n] > 1 {
							t.Errorf("call %d ran %d times", n, ran[n])
						}
					})
					later(time.Duration(rnd.IntN(200)) * time.Millisecond)
					switch k := rnd.IntN(30); {
					case k < 3:
						m.cut()
					case k < 6:
						m.close([]transport.CloseCode{1000, 1001, 1011, 1012, 1014}[rnd.IntN(5)])
					case k < 8:
						m.swallowNext(1 + rnd.IntN(2))
						m.cut()
					case k == 8:
						m.cut()
						h.Close()
						h = m.hub(own, hub.Options{SessionWindow: 5 * time.Second})
						serve(h.Operations())
					}
				}
				calls.Wait()
				later(10 * time.Second)
				if st := s.Stats(); st.State != "registered" || answered < 50 || st.Duplicates != 0 {
					t.Errorf("%d answered, %+v", answered, st)
				}
			})
		})
	}
}
