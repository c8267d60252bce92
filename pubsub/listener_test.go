package pubsub

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
)

func event(payload string) Event { return Event{Topic: "t", Payload: json.RawMessage(payload)} }

// What comes in while fn is busy is delivered in order, with a gap where it was
// too much.
func TestListenerBusyAndFull(t *testing.T) {
	const sent = listenerEvents + 100
	var got []string
	var gaps []int
	var l *listener
	l = newListener("t", func(ev Event) {
		if ev.Gap {
			gaps = append(gaps, ev.Dropped)
			return
		}
		got = append(got, string(ev.Payload))
		if len(got) == 1 {
			for i := range sent {
				l.deliver(event(fmt.Sprint(i)))
			}
		}
	})
	l.deliver(event("first"))
	if len(got) != 1+listenerEvents || got[1] != "0" || got[listenerEvents] != fmt.Sprint(listenerEvents-1) {
		t.Errorf("got %d events", len(got))
	}
	if len(gaps) != 1 || gaps[0] != 100 {
		t.Errorf("gaps %v, want one of 100", gaps)
	}
	l.deliver(event("last"))
	if got[len(got)-1] != "last" {
		t.Error("the listener does not go on after a gap")
	}
}

// A payload over the bound passes when nothing else waits, so that it makes no
// difference whether fn happens to be busy.
func TestListenerBoundInBytes(t *testing.T) {
	half := `"` + string(make([]byte, listenerBytes/2)) + `"`
	var sizes, gaps []int
	var l *listener
	l = newListener("t", func(ev Event) {
		if ev.Gap {
			gaps = append(gaps, ev.Dropped)
			return
		}
		sizes = append(sizes, len(ev.Payload))
		if len(sizes) == 1 {
			l.deliver(event(half + half + half))
			l.deliver(event(half))
			l.deliver(Event{Topic: "t", Gap: true, Dropped: 4})
		}
	})
	l.deliver(event(half))
	if len(sizes) != 2 || sizes[1] != 3*len(half) {
		t.Errorf("sizes %d, want the large one", sizes)
	}
	if len(gaps) != 1 || gaps[0] != 5 {
		t.Errorf("gaps %d, want 5: one dropped and four told", gaps)
	}
}

// A panic of fn goes to the publisher and leaves the listener working.
func TestListenerPanic(t *testing.T) {
	var got []string
	var l *listener
	l = newListener("t", func(ev Event) {
		if string(ev.Payload) == "bad" {
			l.deliver(event("behind"))
			panic("fn")
		}
		got = append(got, string(ev.Payload))
	})
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic did not reach the publisher")
			}
		}()
		l.deliver(event("bad"))
	}()
	l.deliver(event("next"))
	if fmt.Sprint(got) != "[behind next]" {
		t.Errorf("got %q", got)
	}
}

// Publishers that come and go hand the work over without losing, doubling or
// reordering anything, also when fn publishes too.
func TestListenerHandsOver(t *testing.T) {
	const publishers, each = 4, 1500
	next := make([]int, publishers+1)
	gaps, echoes := 0, 0
	var l *listener
	l = newListener("t", func(ev Event) {
		if ev.Gap {
			gaps += ev.Dropped
			return
		}
		var from [2]int
		if err := json.Unmarshal(ev.Payload, &from); err != nil {
			t.Error(err)
		}
		if from[1] < next[from[0]] {
			t.Errorf("%v after %d", from, next[from[0]])
		}
		next[from[0]] = from[1] + 1
		if from[0] == 0 && from[1]%100 == 0 {
			l.deliver(event(fmt.Sprintf("[%d,%d]", publishers, echoes)))
			echoes++
		}
	})
	var all sync.WaitGroup
	for p := range publishers {
		all.Go(func() {
			for n := range each {
				l.deliver(event(fmt.Sprintf("[%d,%d]", p, n)))
			}
		})
	}
	all.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running || l.visitors != 0 || !l.waiting.empty() {
		t.Fatalf("left behind: running %t, %d visitors, %d events", l.running, l.visitors, l.waiting.count)
	}
	if gaps == 0 && (next[0] != each || next[publishers] != echoes) {
		t.Errorf("no gap, but %v came of %d and %d", next, each, echoes)
	}
}
