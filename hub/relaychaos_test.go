package hub_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/spoke"
)

// relayChaos counts what handlers did with each call.
type relayChaos struct {
	t   *testing.T
	net *hubtest.Network

	mu      sync.Mutex // guards the fields below
	rnd     *rand.Rand
	ran     map[string]int
	refused map[string]int
	ended   map[call.Code]int // calls by how they ended; "" are answers
}

func (c *relayChaos) roll(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rnd.IntN(n)
}

// handle answers, fails, refuses or hangs, after a while.
func (c *relayChaos) handle(ctx context.Context, id string) (string, error) {
	what, d := c.roll(12), time.Duration(c.roll(300))*time.Millisecond
	c.mu.Lock()
	if what < 3 {
		c.refused[id]++
	} else {
		c.ran[id]++
	}
	c.mu.Unlock()
	codes := []call.Code{call.CodeOverloaded, call.CodeUnavailable, call.CodeOperationNotFound}
	switch what {
	case 0, 1, 2:
		return "", call.Refuse(&call.Error{Code: codes[what], Retryable: true})
	case 3:
		return "", &call.Error{Code: "OWN"}
	case 4:
		<-ctx.Done()
		return "", ctx.Err()
	case 5:
		return string(make([]byte, 8<<10)), nil // more than the caller takes
	}
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
	return id, nil
}

// call makes one call and compares how it ended with what was done.
func (c *relayChaos) call(s *hubtest.Spoke, id string, workers int) {
	ctx, cancel := context.WithCancel(c.t.Context())
	defer cancel()
	var opts []call.Option
	if c.roll(3) == 0 {
		opts = append(opts, call.Timeout(time.Duration(1+c.roll(400))*time.Millisecond))
	}
	if c.roll(4) == 0 {
		opts = append(opts, call.To(fmt.Sprint("w", c.roll(workers))))
	}
	if c.roll(5) == 0 {
		time.AfterFunc(time.Duration(c.roll(300))*time.Millisecond, cancel)
	}
	out, err := call.Invoke[string](ctx, s, "test.chaos", id, opts...)
	e, _ := errors.AsType[*call.Error](err)
	c.mu.Lock()
	defer c.mu.Unlock()
	if e == nil {
		e = &call.Error{}
	}
	c.ended[e.Code]++
	switch {
	case err == nil && (out != id || c.ran[id] != 1):
		c.t.Errorf("%s: answered %.20q, ran %d times", id, out, c.ran[id])
	case err != nil && e.Code == "":
		c.t.Errorf("%s: %v", id, err)
	case err != nil && !e.Sent && c.ran[id] > 0:
		c.t.Errorf("%s: %v, not sent; it ran %d times", id, err, c.ran[id])
	}
}

// cut does something to a spoke.
func (c *relayChaos) cut(s *hubtest.Spoke) {
	switch c.roll(10) {
	case 0:
		s.Stop()
	case 1:
		ctx, cancel := context.WithTimeout(c.t.Context(), time.Second)
		defer cancel()
		_ = s.Shutdown(ctx) // drained, or not in time
	default:
		s.Wire.Cut()
	}
}

func (c *relayChaos) run() {
	workers, callers := 1+c.roll(4), 1+c.roll(3)
	var all []*hubtest.Spoke
	o := &spoke.Options{BackoffMax: 500 * time.Millisecond, MaxMessageBytes: 4 << 10, LogBytes: 4 << 10, MaxInFlight: 6}
	for i := range workers {
		all = append(all, c.net.Spoke(fmt.Sprint("w", i), o, func(r *call.Registry) { registered(call.Handle(r, call.Operation{Name: "test.chaos"}, c.handle)) }))
	}
	for i := range callers {
		all = append(all, c.net.Spoke(fmt.Sprint("c", i), o, nil))
	}
	var group sync.WaitGroup
	for i := range callers {
		for j := range 60 {
			group.Go(func() {
				<-time.After(time.Duration(c.roll(1500)) * time.Millisecond)
				c.call(all[workers+i], fmt.Sprintf("%d-%d", i, j), workers)
			})
		}
	}
	for range c.roll(8) {
		group.Go(func() {
			<-time.After(time.Duration(c.roll(1500)) * time.Millisecond)
			c.cut(all[c.roll(len(all))])
		})
	}
	if c.roll(3) == 0 {
		group.Go(func() {
			<-time.After(time.Duration(c.roll(1500)) * time.Millisecond)
			ctx, cancel := context.WithTimeout(c.t.Context(), time.Duration(c.roll(2000))*time.Millisecond)
			defer cancel()
			_ = c.net.Hub.Shutdown(ctx) // in time, or not
		})
	}
	group.Wait()
	<-time.After(2 * time.Minute)
	synctest.Wait()
	for _, s := range all {
		if n := s.Stats().Serving; n != 0 {
			c.t.Errorf("%s: %d handlers go on", s.ID(), n)
		}
	}
	for id, n := range c.ran {
		if n > 1 {
			c.t.Errorf("%s ran %d times", id, n)
		}
	}
}

// Calls between spokes end once and truthfully while spokes lose their connections, come back, leave and are full, and
// the hub goes away; HUBSPOKE_RELAY_SEED repeats a run.
func TestRelayChaos(t *testing.T) {
	seed := rand.Uint64()
	if s := os.Getenv("HUBSPOKE_RELAY_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("HUBSPOKE_RELAY_SEED=%d", seed)
	ended := map[call.Code]int{}
	for round := range uint64(3) {
		bubble.Test(t, func(t *testing.T) {
			c := &relayChaos{t: t, ran: map[string]int{}, refused: map[string]int{}, ended: ended, rnd: rand.New(rand.NewPCG(seed, round))}
			c.net = hubtest.New(t, &hub.Options{AllowAnonymous: true, MaxInFlight: 20, LogBytes: 16 << 10, DrainSpread: time.Second})
			c.run()
		})
	}
	calls := 0
	for _, n := range ended {
		calls += n
	}
	if ended[""] < 3 { // about a third, unless the hub or all workers leave early
		t.Errorf("of %d calls too few were answered: %v", calls, ended)
	}
	t.Logf("%v", ended)
}
