package pending_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/pending"
)

// taker is a function as a Taker.
type taker func([]byte, error)

func (f taker) Take(value []byte, err error) { f(value, err) }

// told notes what Take was called with.
type told struct {
	mu   sync.Mutex
	said []string
}

func (d *told) Take(value []byte, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.said = append(d.said, fmt.Sprintf("%s %v", value, err))
}

func (d *told) want(t *testing.T, said ...string) {
	t.Helper()
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	if fmt.Sprint(d.said) != fmt.Sprint(said) {
		t.Errorf("told %q, want %q", d.said, said)
	}
}

// Each end of a request calls Take once, and nothing that comes after it.
func TestTakeOnce(t *testing.T) {
	const second = time.Second
	ways := map[string]struct {
		end  func(*pending.Map, *pending.Request)
		said []string
	}{
		"answer":            {func(m *pending.Map, _ *pending.Request) { m.Respond([]byte("a"), []byte("v")) }, []string{"v <nil>"}},
		"completion":        {func(m *pending.Map, _ *pending.Request) { m.Complete([]byte("a")) }, []string{" <nil>"}},
		"error":             {func(m *pending.Map, _ *pending.Request) { m.Fail([]byte("a"), errRemote) }, []string{" " + errRemote.Error()}},
		"time":              {func(*pending.Map, *pending.Request) { <-time.After(second) }, []string{" " + pending.ErrTimeout.Error()}},
		"close":             {func(m *pending.Map, _ *pending.Request) { m.Close(errRemote) }, []string{" " + errRemote.Error()}},
		"leave":             {func(_ *pending.Map, r *pending.Request) { r.Leave() }, nil},
		"drop":              {func(_ *pending.Map, r *pending.Request) { r.Drop() }, nil},
		"leave, and answer": {func(m *pending.Map, r *pending.Request) { r.Leave(); m.Respond([]byte("a"), []byte("v")) }, nil},
	}
	for name, way := range ways {
		bubble.Test(t, func(t *testing.T) {
			var m pending.Map
			var d told
			r := mustAdd(t, &m, "a", pending.Options{Timeout: second, Taker: &d})
			way.end(&m, r)
			d.want(t, way.said...)
			m.Respond([]byte("a"), []byte("late"))
			m.Fail([]byte("a"), errRemote)
			<-time.After(time.Minute)
			m.Close(nil)
			d.want(t, way.said...)
			if m.Len() != 0 {
				t.Errorf("%s: %d are in flight", name, m.Len())
			}
		})
	}
}

// Take may ask the map: no lock is held, and the slot is free by then.
func TestTakeMayUseTheMap(t *testing.T) {
	var m pending.Map
	m.SetLimit(1)
	const hops = 1000
	n := 0
	var next taker
	next = func([]byte, error) {
		if n++; n < hops {
			mustAdd(t, &m, fmt.Sprint(n), pending.Options{Taker: next})
		}
	}
	mustAdd(t, &m, "0", pending.Options{Taker: next})
	for i := range hops {
		wantOutcome(t, m.Respond(fmt.Append(nil, i), nil), pending.Delivered)
	}
	if n != hops || m.Len() != 0 {
		t.Errorf("%d of %d, %d in flight", n, hops, m.Len())
	}
	mustAdd(t, &m, "last", pending.Options{Taker: taker(func([]byte, error) { m.Close(nil) })})
	m.Close(errRemote) // and its Take closes again
	if err := m.Enter(new(pending.Request), "x", pending.Options{}); !errors.Is(err, errRemote) {
		t.Errorf("%v", err)
	}
}

// A request that was refused is told of its refusal by Enter alone.
func TestRefusedIsNotTaken(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var m pending.Map
		var d told
		m.SetLimit(1)
		mustAdd(t, &m, "a", pending.Options{})
		for _, id := range []string{"a", "b"} {
			if _, err := m.Add(id, pending.Options{Timeout: time.Second, Taker: &d}); err == nil {
				t.Errorf("%s was taken", id)
			}
		}
		<-time.After(time.Minute)
		m.Close(nil)
		d.want(t)
	})
}

// Whatever races with whatever, each request is told at most once, and exactly once where nobody leaves.
func TestTakeUnderRaces(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var m pending.Map
		var group sync.WaitGroup
		const n = 300
		var count [n]atomic.Int32
		var left [n]bool
		for i := range n {
			id := fmt.Append(nil, i)
			timeout := time.Duration(rand.IntN(3)) * time.Millisecond
			r := mustAdd(t, &m, string(id), pending.Options{Timeout: timeout, Taker: taker(func([]byte, error) { count[i].Add(1) })})
			left[i] = i%4 == 0
			for _, end := range []func(){
				func() { m.Respond(id, id) }, func() { m.Fail(id, errRemote) }, func() { m.Complete(id) },
				func() {
					if left[i] {
						r.Leave()
					}
				},
			} {
				group.Go(func() {
					<-time.After(time.Duration(rand.IntN(3)) * time.Millisecond)
					end()
				})
			}
		}
		group.Go(func() {
			<-time.After(2 * time.Millisecond)
			m.Close(nil)
		})
		group.Wait()
		synctest.Wait()
		for i := range n {
			if got := count[i].Load(); got > 1 || got == 0 && !left[i] {
				t.Errorf("request %d was told %d times", i, got)
			}
		}
	})
}
