package drainer

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/internal/bubble"
)

// recorder is a handler that keeps what it handles. Each call takes the time of pause, and is checked to be the only one.
type recorder[T any] struct {
	t      *testing.T
	pause  time.Duration
	inside atomic.Int32
	calls  int
	got    []T
}

func (r *recorder[T]) Handle(items []T) {
	if len(items) == 0 {
		r.t.Error("a call without items")
	}
	if r.inside.Add(1) != 1 {
		r.t.Error("two calls at a time")
	}
	r.calls++
	r.got = append(r.got, items...)
	if r.pause > 0 {
		<-time.After(r.pause)
	}
	r.inside.Add(-1)
}

// checkEmpty fails if the queue has items, or a goroutine.
func checkEmpty[T any](t *testing.T, q *Queue[T]) {
	t.Helper()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.running || len(q.items) > 0 || q.size != 0 {
		t.Errorf("running %t, %d items of size %d are left", q.running, len(q.items), q.size)
	}
}

// Items are handled in order, as many together as the batch allows, and the goroutine ends with them: the bubble would find one that
// is left.
func TestQueueHandlesInOrder(t *testing.T) {
	for _, test := range []struct{ batch, calls int }{{0, 100}, {1, 100}, {10, 11}, {99, 2}, {1000, 2}} {
		bubble.Test(t, func(t *testing.T) {
			r := &recorder[int]{t: t, pause: time.Second}
			q := New(r, Options{Batch: test.batch})
			for burst := range 3 {
				for i := range 100 {
					if err := q.Add(100*burst + i); err != nil {
						t.Fatal(err)
					}
					if i == 0 {
						synctest.Wait() // the first one is being handled
					}
				}
				<-time.After(time.Hour)
				synctest.Wait()
				if want := test.calls * (burst + 1); r.calls != want || len(r.got) != 100*(burst+1) || !slices.IsSorted(r.got) {
					t.Fatalf("batches of %d: %v in %d calls, want %d", test.batch, r.got, r.calls, want)
				}
				checkEmpty(t, q)
			}
		})
	}
}

// The limit bounds what TryAdd has added until it has been handled; one that is larger is alone.
func TestQueueLimit(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		r := &recorder[string]{t: t, pause: time.Second}
		q := New(r, Options{Limit: 10, Batch: 2})
		try := func(item string, size int, want error) {
			t.Helper()
			if err := q.TryAdd(item, size); !errors.Is(err, want) {
				t.Errorf("%s of size %d: %v, want %v", item, size, err, want)
			}
		}
		try("larger", 11, nil)
		synctest.Wait() // it is being handled
		try("too much", 1, ErrFull)
		if err := q.Add("any"); err != nil {
			t.Error(err)
		}
		<-time.After(time.Second)
		synctest.Wait() // the one of Add is being handled, and does not count
		try("a", 4, nil)
		try("b", 3, nil)
		try("too large", 4, ErrFull)
		try("huge", 1<<62, ErrFull)
		try("c", 3, nil)
		try("too much", 1, ErrFull)
		<-time.After(time.Second)
		synctest.Wait() // a and b are being handled, c waits
		try("too much", 1, ErrFull)
		<-time.After(time.Second)
		synctest.Wait()
		try("too much", 8, ErrFull)
		try("d", 7, nil)
		<-time.After(time.Minute)
		try("huge", 1<<62, nil)
		q.Close()
		try("late", 1, ErrClosed)
		try("late and large", 1<<62, ErrClosed)
		if want := []string{"larger", "any", "a", "b", "c", "d", "huge"}; !slices.Equal(r.got, want) {
			t.Errorf("handled %q, want %q", r.got, want)
		}
		checkEmpty(t, q)
	})
}

// Close waits for all that was added, however often it is called, and nothing is added after it.
func TestQueueClose(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		r := &recorder[int]{t: t, pause: time.Second}
		q := New(r, Options{})
		q.Close() // of a queue that has never had an item, too
		if err := q.Add(1); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		q = New(r, Options{})
		for i := range 3 {
			if err := q.Add(i); err != nil {
				t.Error(err)
			}
			synctest.Wait()
		}
		start := time.Now()
		var closers sync.WaitGroup
		for range 3 {
			closers.Go(func() {
				q.Close()
				if took := time.Since(start); took != 3*time.Second || len(r.got) != 3 {
					t.Errorf("Close returned after %s with %d of 3 items handled", took, len(r.got))
				}
			})
		}
		synctest.Wait()
		if err := q.TryAdd(3, 1); !errors.Is(err, ErrClosed) {
			t.Errorf("during Close: %v", err)
		}
		closers.Wait()
	})
}

// chain adds the next number for each that it handles.
type chain struct {
	q   *Queue[int]
	got []int
}

func (c *chain) Handle(items []int) {
	for i, n := range items {
		if c.got = append(c.got, n); n < 1000 {
			_ = c.q.TryAdd(n+1, 1) // no lock is held that it could wait for
		}
		items[i] = -1
	}
}

func TestQueueHandlerMayAdd(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := &chain{}
		c.q = New(c, Options{Limit: 2})
		if err := c.q.Add(1); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(c.got) != 1000 || !slices.IsSorted(c.got) {
			t.Errorf("handled %d items, want 1000 in order", len(c.got))
		}
	})
}

// quitter ends its goroutine after batches that begin with an odd item.
type quitter struct{ recorder[int] }

func (h *quitter) Handle(items []int) {
	h.recorder.Handle(items)
	if items[0]%2 == 1 {
		runtime.Goexit()
	}
}

// A handler that ends its goroutine holds up neither the next items nor Close.
func TestQueueSurvivesGoexit(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := &quitter{recorder[int]{t: t, pause: time.Second}}
		q := New(h, Options{Limit: 3, Batch: 2})
		for i := range 10 {
			if err := q.TryAdd(i, 1); err != nil {
				t.Error(err)
			}
			if i%3 == 0 { // by itself
				<-time.After(time.Minute)
			}
		}
		q.Close()
		if len(h.got) != 10 || !slices.IsSorted(h.got) {
			t.Errorf("handled %v", h.got)
		}
		checkEmpty(t, q)
	})
}

// An empty queue keeps neither its items nor the room that a burst took.
func TestQueueReleasesItems(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		for _, n := range []int{1, keptItems, 10 * keptItems} {
			for _, batch := range []int{1, 100, 100 * keptItems} {
				r := &recorder[*int]{t: t}
				q := New(r, Options{Batch: batch})
				for range 3 {
					for i := range n {
						if err := q.Add(&i); err != nil {
							t.Error(err)
						}
					}
					synctest.Wait()
					if cap(q.items) > keptItems || cap(q.batch) > keptItems {
						t.Errorf("room for %d and %d items is kept after %d", cap(q.items), cap(q.batch), n)
					}
					kept := q.batch[:cap(q.batch)]
					for _, i := range q.items[:cap(q.items)] {
						kept = append(kept, i.value)
					}
					for _, value := range kept {
						if value != nil {
							t.Fatal("an item is kept that has been handled")
						}
					}
				}
			}
		}
	})
}

// A queue that is never empty does not grow for that.
func TestQueueThatIsNeverEmptyIsBounded(t *testing.T) {
	q := New(nothing{}, Options{})
	q.running = true // this test is the goroutine
	value := new(int)
	_ = q.Add(value)
	for range 200 * keptItems {
		_ = q.Add(value)
		if !q.take() || len(q.batch) != 1 || q.batch[0] != value {
			t.Fatalf("took %v", q.batch)
		}
	}
	if n := cap(q.items); n > 4*keptItems {
		t.Errorf("room for %d items where never more than two waited", n)
	}
}

// weighed is an item of one adder.
type weighed struct{ adder, number, size int }

// model is a handler that checks the bounds of its queue.
type model struct {
	recorder[weighed]
	q *Queue[weighed]
}

func (m *model) Handle(items []weighed) {
	m.check(items)
	m.pause = time.Duration(rand.IntN(3)) * time.Millisecond
	m.recorder.Handle(items)
	if rand.IntN(20) == 0 {
		runtime.Goexit()
	}
}

func (m *model) check(batch []weighed) {
	m.q.mu.Lock()
	defer m.q.mu.Unlock()
	sum, largest := 0, 0
	held := slices.Clone(batch)
	for _, i := range m.q.items[m.q.head:] {
		held = append(held, i.value)
	}
	for _, w := range held {
		sum += w.size
		largest = max(largest, w.size)
	}
	if sum != m.q.size || sum > m.q.opts.Limit && sum > largest || len(batch) > m.q.opts.Batch {
		m.t.Errorf("a batch of %d, and %d items of size %d together, %d by the queue's count: %+v", len(batch), len(held), sum, m.q.size, m.q.opts)
	}
}

// Whatever is added concurrently is handled once or was refused, in the order of each adder, within the bounds, and when
// nothing waits there is no goroutine.
func TestQueueProperty(t *testing.T) {
	for range 20 {
		bubble.Test(t, func(t *testing.T) {
			const adders, each = 8, 200
			m := &model{}
			q := New(m, Options{Limit: 1 + rand.IntN(100), Batch: rand.IntN(20)})
			m.t, m.q = t, q
			var all sync.WaitGroup
			var added [adders][]weighed
			closeAfter := rand.IntN(2 * adders * each)
			var count atomic.Int32
			for a := range adders {
				all.Go(func() {
					for n := range each {
						item := weighed{a, n, rand.IntN(q.opts.Limit/2 + 2)}
						if rand.IntN(50) == 0 {
							item.size = q.opts.Limit + 1
						}
						err := q.TryAdd(item, item.size)
						switch {
						case err == nil:
							added[a] = append(added[a], item)
						case !errors.Is(err, ErrFull) && !errors.Is(err, ErrClosed):
							t.Error(err)
						}
						if int(count.Add(1)) == closeAfter {
							q.Close()
							checkEmpty(t, q)
						}
						if rand.IntN(10) == 0 {
							<-time.After(time.Duration(rand.IntN(3)) * time.Millisecond)
						}
					}
				})
			}
			all.Wait()
			<-time.After(time.Minute)
			synctest.Wait()
			checkEmpty(t, q)
			var got [adders][]weighed
			for _, item := range m.got {
				got[item.adder] = append(got[item.adder], item)
			}
			for a := range adders {
				if !slices.Equal(got[a], added[a]) {
					t.Errorf("adder %d: handled %v, want %v", a, got[a], added[a])
				}
			}
		})
	}
}

// nothing handles items as fast as can be.
type nothing struct{}

func (nothing) Handle([]*int) {}

func BenchmarkQueue(b *testing.B) {
	for _, bench := range []struct {
		name  string
		burst int
	}{{"1", 1}, {"64", 64}} {
		b.Run(bench.name, func(b *testing.B) {
			q := New(nothing{}, Options{Batch: bench.burst})
			item := new(int)
			b.ReportAllocs()
			for i := range b.N {
				_ = q.Add(item) // fails only after Close
				if i%bench.burst == 0 {
					runtime.Gosched()
				}
			}
			q.Close()
		})
	}
}
