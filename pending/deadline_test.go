package pending_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/pending"
)

// One timer serves requests of all kinds: each ends at its own time, whoever else comes, goes or is late.
func TestEachEndsAtItsOwnTime(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var m pending.Map
		var group sync.WaitGroup
		begin := time.Now()
		for i := range 400 {
			<-time.After(time.Duration(rand.IntN(3)) * time.Millisecond)
			id, timeout := fmt.Sprint(i), time.Duration(1+rand.IntN(2000))*time.Millisecond
			due := time.Now().Add(timeout)
			check := func(err error) {
				if !errors.Is(err, pending.ErrTimeout) || !time.Now().Equal(due) {
					t.Errorf("request %s: %v at %v, want its time at %v", id, err, time.Since(begin), due.Sub(begin))
				}
			}
			switch rand.IntN(4) {
			case 0:
				mustAdd(t, &m, id, pending.Options{Timeout: timeout, Taker: taker(func(_ []byte, err error) { check(err) })})
			case 1:
				r := mustAdd(t, &m, id, pending.Options{Timeout: timeout})
				group.Go(func() { _, err := r.Next(context.Background()); check(err) })
			case 2:
				r := mustAdd(t, &m, id, pending.Options{Timeout: timeout, Stream: true, IdleTimeout: time.Hour})
				group.Go(func() { _, err := r.Next(t.Context()); check(err) })
			default: // answered in its time, and must move nobody else's
				r := mustAdd(t, &m, id, pending.Options{Timeout: timeout})
				group.Go(func() { _, _ = r.Next(t.Context()) })
				time.AfterFunc(timeout/2, func() { m.Respond([]byte(id), nil) })
			}
		}
		group.Wait()
		<-time.After(time.Minute)
	})
}

// A reader that comes back to a stream after its time finds what came before, then the end of its time.
func TestTimeOfAStreamThatIsNotWaitedFor(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var m pending.Map
		r := mustAdd(t, &m, "a", pending.Options{Stream: true, Credit: -1, Timeout: time.Second})
		wantOutcome(t, m.Respond([]byte("a"), []byte("one")), pending.Delivered)
		wantValue(t, r, "one")
		wantOutcome(t, m.Respond([]byte("a"), []byte("two")), pending.Delivered)
		<-time.After(time.Minute)
		wantOutcome(t, m.Respond([]byte("a"), []byte("late")), pending.Unknown)
		wantValue(t, r, "two")
		wantEnd(t, r, pending.ErrTimeout)
		r.Leave()
		m.Complete([]byte("a"))
	})
}

// Without a context that can end a waiter is woken all the same: by a value, an error, Close, the time.
func TestWaitWithoutContext(t *testing.T) {
	for want, end := range map[error]func(*pending.Map){
		nil:                func(m *pending.Map) { m.Respond([]byte("a"), []byte("v")) },
		io.EOF:             func(m *pending.Map) { m.Complete([]byte("a")) },
		errRemote:          func(m *pending.Map) { m.Fail([]byte("a"), errRemote) },
		pending.ErrClosed:  func(m *pending.Map) { m.Close(nil) },
		pending.ErrTimeout: func(*pending.Map) {},
	} {
		bubble.Test(t, func(t *testing.T) {
			var m pending.Map
			r := mustAdd(t, &m, "a", pending.Options{Stream: want != nil, Credit: -1, Timeout: time.Minute})
			time.AfterFunc(time.Second, func() { end(&m) })
			_, err := r.Next(context.Background())
			if !errors.Is(err, want) {
				t.Errorf("%v, want %v", err, want)
			}
		})
	}
}

// The time of a request may be far off when its map is closed: nothing holds the map until then.
func TestClosedMapIsFreed(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // each processor forgets its stopped timers when it schedules
	var left []weak.Pointer[pending.Map]
	for range 50 {
		m := new(pending.Map)
		mustAdd(t, m, "a", pending.Options{Timeout: 24 * time.Hour, Taker: taker(func([]byte, error) {})})
		m.Close(nil)
		left = append(left, weak.Make(m))
	}
	for range 100 {
		<-time.After(time.Millisecond)
		runtime.GC()
		left = slices.DeleteFunc(left, func(p weak.Pointer[pending.Map]) bool { return p.Value() == nil })
		if len(left) == 0 {
			return
		}
	}
	t.Errorf("%d closed maps of 50 are still held", len(left))
}

// A request that is left, or dropped, holds no waiter for ever.
func TestLeaveEndsTheWait(t *testing.T) {
	for name, leave := range map[string]func(*pending.Request){
		"leave": func(r *pending.Request) { r.Leave() },
		"drop":  func(r *pending.Request) { r.Drop() },
	} {
		for _, stream := range []bool{false, true} {
			bubble.Test(t, func(t *testing.T) {
				var m pending.Map
				for i, ctx := range []context.Context{context.Background(), t.Context()} {
					r := mustAdd(t, &m, fmt.Sprint(i), pending.Options{Stream: stream, Credit: -1})
					ended := make(chan error, 1)
					go func() { _, err := r.Next(ctx); ended <- err }()
					synctest.Wait()
					leave(r)
					synctest.Wait()
					select {
					case err := <-ended:
						if !errors.Is(err, pending.ErrClosed) {
							t.Errorf("%s: %v", name, err)
						}
					default:
						t.Errorf("%s: the waiter waits on", name)
						m.Fail([]byte(r.ID()), errRemote)
						m.Close(nil)
						return
					}
				}
			})
		}
	}
}
