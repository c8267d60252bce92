package hub_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/spoke"
)

// setting is a number from the environment, for runs that are larger than the usual ones.
func setting(t testing.TB, name string, usual int) int {
	n, err := strconv.Atoi(os.Getenv(name))
	if err != nil {
		n = usual
	}
	t.Logf("%s=%d", name, n)
	return n
}

func randomSeed() int { return int(rand.Uint32()) }

// load is traffic of every kind among a hub and its spokes, and what must be true of it.
type load struct {
	t      testing.TB
	hub    *hub.Hub
	spokes []*spoke.Spoke
	pause  time.Duration // handlers and callers take up to this
	ctx    context.Context
	stop   atomic.Bool
	wg     sync.WaitGroup
	runs   sync.WaitGroup // of the spokes

	answered atomic.Int64 // calls
	items    atomic.Int64 // of streams
	events   atomic.Int64 // received

	mu    sync.Mutex
	ran   map[string]int // how often the handler of a call has run
	asked int            // calls that were made
}

// loadNames are the ids of the spokes; the hub is a source of calls and events too.
var loadNames = []string{"a", "b", "c"}

type loadInput struct {
	ID string
	N  int
}

// join starts a spoke that serves what the load calls, and waits until it is registered.
func (l *load) join(url string, opts *spoke.Options) {
	l.t.Helper()
	s, err := spoke.New(url, opts)
	if err != nil {
		l.t.Fatal(err)
	}
	l.serve(s.Operations(), s)
	l.spokes = append(l.spokes, s)
	l.runs.Go(func() {
		if err := s.Run(l.ctx); err != nil {
			l.t.Error(err)
		}
	})
	if err := s.Ready(l.ctx); err != nil {
		l.t.Fatal(err)
	}
}

// leave shuts the spokes down, then the hub.
func (l *load) leave() {
	l.t.Helper()
	for _, s := range l.spokes {
		if err := s.Shutdown(l.ctx); err != nil {
			l.t.Error(err)
		}
	}
	l.runs.Wait()
	if err := l.hub.Shutdown(l.ctx); err != nil {
		l.t.Error(err)
	}
}

// rest lets a random time pass, often none.
func (l *load) rest() {
	if rand.IntN(3) > 0 {
		<-time.After(time.Duration(rand.Int64N(int64(l.pause))))
	}
}

// once notes that the handler of a call runs.
func (l *load) once(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ran[id]++
	if l.ran[id] > 1 {
		l.t.Errorf("the handler of call %s runs for the %d. time", id, l.ran[id])
	}
}

func (l *load) echo(ctx context.Context, in loadInput) (string, error) {
	l.once(in.ID)
	l.rest()
	return in.ID, ctx.Err()
}

func (l *load) count(ctx context.Context, in loadInput, send func(int) error) error {
	l.once(in.ID)
	for i := range in.N {
		if rand.IntN(4) == 0 {
			l.rest()
		}
		if err := send(i); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// serve adds what everyone serves; c makes the calls of nested ones.
func (l *load) serve(r *call.Registry, c call.Caller) {
	registered(call.Handle(r, call.Operation{Name: "load.echo"}, l.echo))
	registered(call.HandleStream(r, call.Operation{Name: "load.count"}, l.count))
	registered(call.Handle(r, call.Operation{Name: "load.nested"}, func(ctx context.Context, in loadInput) (string, error) {
		l.once(in.ID)
		inner := loadInput{ID: in.ID + "/nested", N: in.N}
		out, err := call.Invoke[string](ctx, c, "load.echo", inner, call.To(loadNames[in.N%len(loadNames)]), call.Timeout(-1))
		if err != nil {
			return "", fmt.Errorf("nested: %w", err)
		}
		l.counted(1)
		if out != inner.ID {
			l.t.Errorf("nested: asked %s, got %s", inner.ID, out)
		}
		return in.ID, nil
	}))
}

func (l *load) counted(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked += n
}

// call makes one call of some kind.
func (l *load) call(c call.Caller, id string) {
	l.counted(1)
	var opts []call.Option
	if target := rand.IntN(len(loadNames) + 1); target < len(loadNames) {
		opts = append(opts, call.To(loadNames[target]))
	}
	opts = append(opts, call.Timeout(-1))
	in := loadInput{ID: id, N: rand.IntN(40)}
	if rand.IntN(3) == 0 {
		l.stream(c, in, opts)
		return
	}
	operation := "load.echo"
	if rand.IntN(3) == 0 {
		operation = "load.nested"
	}
	out, err := call.Invoke[string](l.ctx, c, operation, in, opts...)
	if err != nil || out != id {
		l.t.Errorf("call %s of %s: %q, %v", id, operation, out, err)
	}
	l.answered.Add(1)
}

func (l *load) stream(c call.Caller, in loadInput, opts []call.Option) {
	if rand.IntN(2) == 0 {
		opts = append(opts, call.Credit(1+rand.IntN(6)))
	}
	n := 0
	for out, err := range call.Stream[int](l.ctx, c, "load.count", in, opts...) {
		if err != nil || out != n {
			l.t.Errorf("stream %s: %d where %d is due, %v", in.ID, out, n, err)
			return
		}
		n++
		l.items.Add(1)
		if rand.IntN(8) == 0 {
			l.rest()
		}
	}
	if n != in.N {
		l.t.Errorf("stream %s ended after %d of %d", in.ID, n, in.N)
	}
	l.answered.Add(1)
}

// callUntilStop makes calls one after the other.
func (l *load) callUntilStop(c call.Caller, name string) {
	for n := 0; !l.stop.Load() && !l.t.Failed(); n++ {
		l.call(c, fmt.Sprint(name, "-", n))
		l.rest()
	}
}

// topic is one that somebody publishes to and everybody listens to.
type topic struct {
	name      string
	published atomic.Int64
	next      []atomic.Int64  // by listener
	complete  []chan struct{} // by listener
}

// end notes that a listener has heard the last event, which nothing may follow.
func (tp *topic) end(i int) { close(tp.complete[i]) }

// listen hears a topic from its first event to its last, for which there is a mark.
func (l *load) listen(target pubsub.EventTarget, tp *topic, i int) (stop func()) {
	stop, err := target.Listen(l.ctx, tp.name, func(ev pubsub.Event) {
		n, err := strconv.ParseInt(string(ev.Payload), 10, 64)
		due := tp.next[i].Add(1) - 1
		switch {
		case ev.Gap || err != nil:
			l.t.Errorf("%s at listener %d: %+v", tp.name, i, ev)
		case n < 0 && due == -n-1:
			tp.end(i)
		case n != due:
			l.t.Errorf("%s at listener %d: %d where %d is due", tp.name, i, n, due)
			tp.next[i].Store(n + 1)
		}
		l.events.Add(1)
	})
	if err != nil {
		l.t.Error(err)
		return func() {}
	}
	return stop
}

func (l *load) publish(target pubsub.EventTarget, tp *topic) {
	send := func(n int64) {
		if err := target.Dispatch(l.ctx, pubsub.Event{Topic: tp.name, Payload: json.RawMessage(strconv.FormatInt(n, 10))}); err != nil {
			l.t.Error(err)
		}
	}
	n := int64(0)
	for ; !l.stop.Load() && !l.t.Failed(); n++ {
		send(n)
		<-time.After(l.pause)
	}
	send(-n - 1) // the last
	tp.published.Store(n)
}

// run is traffic until faults returns, and then until all of it has ended well.
func (l *load) run(faults func()) {
	targets := []pubsub.EventTarget{l.hub.Events()}
	callers := []call.Caller{l.hub}
	for _, s := range l.spokes {
		targets, callers = append(targets, s.Events()), append(callers, s)
	}
	var topics []*topic
	for i := range 2 * len(targets) {
		tp := &topic{name: fmt.Sprintf("load.topic.%d", i), next: make([]atomic.Int64, len(targets)), complete: make([]chan struct{}, len(targets))}
		for j, target := range targets {
			tp.complete[j] = make(chan struct{})
			defer l.listen(target, tp, j)()
		}
		topics = append(topics, tp)
	}
	for i, tp := range topics {
		l.wg.Go(func() { l.publish(targets[i%len(targets)], tp) })
	}
	for i, c := range callers {
		for k := range 4 {
			l.wg.Go(func() { l.callUntilStop(c, fmt.Sprint(i, ".", k)) })
		}
	}
	faults()
	l.stop.Store(true)
	l.wg.Wait()
	for _, tp := range topics {
		for j, complete := range tp.complete {
			select {
			case <-complete:
			case <-l.ctx.Done():
				l.t.Errorf("%s at listener %d: %d of %d", tp.name, j, tp.next[j].Load(), tp.published.Load())
			}
		}
	}
	l.check()
}

// check: every call ran once, no session was lost, nothing is left.
func (l *load) check() {
	if len(l.ran) != l.asked {
		l.t.Errorf("%d calls were made and %d handlers have run", l.asked, len(l.ran))
	}
	for _, s := range l.spokes {
		if st := s.Stats(); st.Connections-st.Resumed != 1 || st.Duplicates+st.Malformed+st.Unknown+st.SlowStreams != 0 {
			l.t.Errorf("spoke %s: %+v", s.ID(), st)
		}
	}
	if st := l.hub.Stats(); st.Duplicates+st.Malformed+st.Unknown+st.SlowStreams+st.EventsDropped != 0 || st.InFlight+st.Serving != 0 {
		l.t.Errorf("hub: %+v", st)
	}
	l.t.Logf("%d calls, %d responses of streams, %d events", l.asked, l.items.Load(), l.events.Load())
}
