package peer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/bubble"
)

type valueKey struct{}

var errCause = errors.New("the cause")

// twins are a handler's context and one of package context that is to behave like it.
type twins struct {
	own    *handlerContext
	like   context.Context
	cancel context.CancelCauseFunc
}

func newTwins(parent context.Context, timeout time.Duration) twins {
	own := &handlerContext{parent: context.WithoutCancel(parent), in: &Incoming{Request: call.Request{ID: "r"}}}
	like, cancel := context.WithCancelCause(parent)
	if timeout > 0 {
		own.deadline = time.Now().Add(timeout)
		timed, stop := context.WithDeadlineCause(like, own.deadline, timeoutError)
		context.AfterFunc(timed, stop)
		like = timed
	}
	return twins{own, call.NewContext(like, &own.in.Request), cancel}
}

func (w twins) end(cause error) {
	w.own.cancel(cause)
	w.cancel(cause)
	synctest.Wait()
}

func done(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return true
	default:
		return false
	}
}

// questions are what can be asked of a context, by name.
var questions = map[string]func(context.Context) string{
	"Err":      func(c context.Context) string { return fmt.Sprint(c.Err()) },
	"Cause":    func(c context.Context) string { return fmt.Sprint(context.Cause(c)) },
	"Done":     func(c context.Context) string { return fmt.Sprint(done(c)) },
	"Deadline": func(c context.Context) string { d, ok := c.Deadline(); return fmt.Sprint(d.UnixNano(), ok) },
	"Value":    func(c context.Context) string { return fmt.Sprint(c.Value(valueKey{}), call.FromContext(c).ID) },
	"derived": func(c context.Context) string {
		d, cancel := context.WithCancel(c)
		defer cancel()
		return fmt.Sprint(d.Err(), context.Cause(d), done(d))
	},
	"derived of a value": func(c context.Context) string {
		d, cancel := context.WithTimeout(context.WithValue(c, valueKey{}, 2), time.Hour)
		defer cancel()
		return fmt.Sprint(d.Err(), context.Cause(d), done(d))
	},
	"after": func(c context.Context) string {
		ran := make(chan struct{})
		stop := context.AfterFunc(c, func() { close(ran) })
		synctest.Wait()
		select {
		case <-ran:
			return fmt.Sprint("ran ", stop())
		default:
			return fmt.Sprint("waits ", stop(), stop())
		}
	},
}

// Whatever is asked of it, and in whatever order, it answers as a context of package context does: before its
// end, after it, and after another end has come too late.
func TestContextIsLikeOthers(t *testing.T) {
	const timeout = time.Second
	ends := map[string]func(twins){
		"canceled":             func(w twins) { w.end(nil) },
		"canceled for a cause": func(w twins) { w.end(errCause) },
		"time up":              func(twins) { after(timeout); synctest.Wait() },
		"time up, then ended":  func(w twins) { after(timeout); synctest.Wait(); w.end(errCause) },
		"ended, then time up":  func(w twins) { w.end(errCause); after(timeout); synctest.Wait() },
	}
	names := make([]string, 0, len(questions))
	for name := range questions {
		names = append(names, name)
	}
	for how, end := range ends {
		for range 60 {
			bubble.Test(t, func(t *testing.T) {
				root, stop := context.WithCancelCause(context.WithValue(t.Context(), valueKey{}, 1))
				defer stop(nil)
				w := newTwins(root, timeout)
				history := how
				ask := func(when string) {
					for range rand.IntN(4) {
						name := names[rand.IntN(len(names))]
						history += ", " + name + " " + when
						if got, want := questions[name](w.own), questions[name](w.like); got != want {
							t.Errorf("%s: %s, want %s", history, got, want)
						}
					}
				}
				ask("before")
				end(w)
				ask("after")
				w.end(errOver)
				stop(errOver) // whose end comes later, too
				ask("at last")
				w.own.cancel(nil)
			})
		}
	}
}

// Whichever question is the first after its time is up, also where nothing has started a timer, is answered as by others.
func TestContextExpiresWhenAsked(t *testing.T) {
	for name, question := range questions {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				w := newTwins(t.Context(), time.Second)
				after(time.Second)
				synctest.Wait()
				if w.own.timer != nil {
					t.Fatal("it has a timer")
				}
				if got, want := question(w.own), question(w.like); got != want {
					t.Errorf("%s, want %s", got, want)
				}
				w.cancel(nil)
			})
		})
	}
}

// The end of the peer's own context reaches handlers by way of the peer. Until then they do not tell of it.
func TestContextHasNoCauseBeforeItsEnd(t *testing.T) {
	root, stop := context.WithCancelCause(context.WithValue(t.Context(), valueKey{}, 1))
	in := &Incoming{peer: newPeer(root, config{})}
	in.start(time.Now())
	c := &in.ctx
	stop(errCause)
	if err, cause := c.Err(), context.Cause(c); err != nil || cause != nil || c.Value(valueKey{}) != 1 {
		t.Errorf("%v, %v", err, cause)
	}
	c.cancel(errCause)
	if err, cause := c.Err(), context.Cause(c); !errors.Is(err, context.Canceled) || !errors.Is(cause, errCause) {
		t.Errorf("%v, %v", err, cause)
	}
}

// goroutinesIn counts those with the text in their stack.
func goroutinesIn(text string) (n int) {
	stacks := make([]byte, 4<<20)
	for g := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
		if strings.Contains(g, text) {
			n++
		}
	}
	return n
}

// Contexts that are made of it cost no goroutine, and are forgotten when they are canceled.
func TestDerivedContextsCostNoGoroutine(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := &handlerContext{parent: t.Context(), in: &Incoming{}, deadline: time.Now().Add(time.Minute)}
		var all []context.Context
		var cancels []context.CancelFunc
		before := runtime.NumGoroutine()
		for i := range 100 {
			derive := context.WithCancel
			if i%2 == 0 {
				derive = func(c context.Context) (context.Context, context.CancelFunc) {
					return context.WithTimeout(c, time.Hour)
				}
			}
			d, cancel := derive(c)
			all, cancels = append(all, d), append(cancels, cancel)
			context.AfterFunc(c, func() {})
		}
		synctest.Wait()
		if n := goroutinesIn("propagateCancel"); n != 0 || runtime.NumGoroutine() > before {
			t.Errorf("%d goroutines watch it, %d more than before", n, runtime.NumGoroutine()-before)
		}
		for _, cancel := range cancels[:50] {
			cancel()
		}
		if n := len(c.after); n != 150 {
			t.Errorf("%d are told of its end", n)
		}
		c.cancel(errCause)
		synctest.Wait()
		for i, d := range all[50:] {
			if !errors.Is(context.Cause(d), errCause) {
				t.Errorf("context %d: %v", i, context.Cause(d))
			}
		}
		if c.after != nil {
			t.Errorf("%d are kept", len(c.after))
		}
		for _, cancel := range cancels {
			cancel()
		}
	})
}

// Everything about it may be asked and changed at once.
func TestContextUnderRaces(t *testing.T) {
	for range 50 {
		c := &handlerContext{parent: context.Background(), in: &Incoming{}, deadline: time.Now().Add(time.Millisecond)}
		ctx, stop := context.WithCancelCause(c) // as an errgroup makes it
		var group sync.WaitGroup
		for i := range 8 {
			group.Go(func() {
				d, cancel := context.WithTimeout(c, time.Hour)
				defer cancel()
				stop := context.AfterFunc(c, func() { _ = context.Cause(c) })
				if i%2 == 0 {
					stop()
				}
				if i == 0 {
					c.cancel(errCause)
				}
				<-d.Done()
				<-ctx.Done()
				if !errors.Is(context.Cause(d), context.Cause(c)) || c.Err() == nil || d.Err() == nil {
					t.Errorf("%v, %v", context.Cause(d), context.Cause(c))
				}
			})
		}
		group.Wait()
		stop(nil)
		if len(c.after) != 0 {
			t.Errorf("%d wait for its end, which has been", len(c.after))
		}
	}
}
