package pending_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/pending"
)

func TestTimeout(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var m pending.Map
		r := mustAdd(t, &m, "a", pending.Options{Timeout: time.Second})
		start := time.Now()
		wantEnd(t, r, pending.ErrTimeout)
		if d := time.Since(start); d != time.Second {
			t.Errorf("timed out after %v", d)
		}
		wantEnd(t, r, pending.ErrTimeout) // over for good
		if first, again := r.Leave(), r.Leave(); !first || !again || m.Len() != 1 {
			t.Error("the handler is still at work and counts")
		}
		wantOutcome(t, m.Respond([]byte("a"), []byte("late")), pending.Unknown)
		if s := m.Stats(); s.InFlight != 0 || s.Unknown != 1 {
			t.Errorf("stats %+v", s)
		}
		if r.Leave() {
			t.Error("still at work after its answer")
		}
	})
}

// A unary answer that was there before anybody looked is given, however late.
func TestAnswerInTimeIsGivenLate(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var m pending.Map
		r := mustAdd(t, &m, "a", pending.Options{Timeout: time.Second})
		m.Respond([]byte("a"), []byte("v"))
		<-time.After(time.Minute)
		wantValue(t, r, "v")
	})
}

// The time-out bounds a whole stream, also one whose producer never lets the reader wait.
func TestTimeoutBoundsAQuickStream(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var m pending.Map
		r := mustAdd(t, &m, "s", pending.Options{Stream: true, Credit: -1, Timeout: time.Second})
		id := []byte("s")
		for range 10 {
			wantOutcome(t, m.Respond(id, []byte("v")), pending.Delivered)
			wantOutcome(t, m.Respond(id, []byte("v")), pending.Delivered)
			<-time.After(90 * time.Millisecond)
			wantValue(t, r, "v") // one is always there
		}
		<-time.After(100 * time.Millisecond)
		wantOutcome(t, m.Respond(id, []byte("too late")), pending.Unknown)
		for range 10 {
			wantValue(t, r, "v")
		}
		wantEnd(t, r, pending.ErrTimeout)
	})
}

func TestIdleTimeout(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var m pending.Map
		r := mustAdd(t, &m, "s", pending.Options{Stream: true, Credit: -1, IdleTimeout: time.Second})
		for range 3 {
			go func() { // in idle time each, longer than it together
				<-time.After(900 * time.Millisecond)
				m.Respond([]byte("s"), []byte("v"))
			}()
			wantValue(t, r, "v")
		}
		// What the reader is slow to ask for is not the handler's silence.
		<-time.After(time.Minute)
		start := time.Now()
		wantEnd(t, r, pending.ErrIdleTimeout)
		if d := time.Since(start); d != time.Second {
			t.Errorf("idle for %v", d)
		}
		wantEnd(t, r, pending.ErrIdleTimeout)
	})
}

// The nearer of the two bounds counts.
func TestTimeoutBeforeIdleTimeout(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var m pending.Map
		r := mustAdd(t, &m, "s", pending.Options{Stream: true, Timeout: time.Second, IdleTimeout: time.Minute})
		wantEnd(t, r, pending.ErrTimeout)
	})
}

func TestIdleTimeoutIsForStreams(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var m pending.Map
		r := mustAdd(t, &m, "a", pending.Options{Timeout: time.Minute, IdleTimeout: time.Second})
		wantEnd(t, r, pending.ErrTimeout)
	})
}

// A caller that leaves is released at once; its request counts until the other side ends it.
func TestContextEndReleasesAtOnce(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var m pending.Map
		r := mustAdd(t, &m, "a", pending.Options{Timeout: time.Hour})
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-time.After(time.Second); cancel() }()
		if _, err := r.Next(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Next: %v", err)
		}
		if m.Len() != 1 {
			t.Error("ended by its context alone")
		}
		go m.Respond([]byte("a"), []byte("v")) // who does not give up may go on waiting
		wantValue(t, r, "v")
	})
}

func TestValueBeforeContextEnd(t *testing.T) {
	var m pending.Map
	r := mustAdd(t, &m, "a", pending.Options{})
	m.Respond([]byte("a"), []byte("v"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if v, err := r.Next(ctx); string(v) != "v" || err != nil {
		t.Errorf("Next = %q, %v: a value that is there is lost", v, err)
	}
}

func TestLeave(t *testing.T) {
	var m pending.Map
	r := mustAdd(t, &m, "s", pending.Options{Stream: true, Credit: 4})
	m.Respond([]byte("s"), []byte("dropped"))
	if first, again := r.Leave(), r.Leave(); !first || !again {
		t.Error("nobody is at work")
	}
	wantEnd(t, r, pending.ErrClosed)
	for range 100 { // credit or not: nobody reads
		wantOutcome(t, m.Respond([]byte("s"), []byte("v")), pending.Unknown)
	}
	wantOutcome(t, m.Complete([]byte("s")), pending.Unknown)
	if s := m.Stats(); s != (pending.Stats{Unknown: 101}) || r.Leave() {
		t.Errorf("stats %+v", s)
	}
}

func TestDrop(t *testing.T) {
	var m pending.Map
	r := mustAdd(t, &m, "a", pending.Options{})
	r.Drop()
	r.Drop()
	if m.Len() != 0 || r.Leave() {
		t.Error("dropped, but in flight")
	}
	wantEnd(t, r, pending.ErrClosed)
	again := mustAdd(t, &m, "a", pending.Options{})
	r.Drop() // the old one's; the new one stays
	if m.Len() != 1 || !again.Leave() {
		t.Error("an old request's Drop took a new one out")
	}
}

func TestCredit(t *testing.T) {
	var m pending.Map
	id := []byte("s")
	r := mustAdd(t, &m, "s", pending.Options{Stream: true, Credit: 2})
	wantOutcome(t, m.Respond(id, []byte("1")), pending.Delivered)
	wantOutcome(t, m.Respond(id, []byte("2")), pending.Delivered)
	wantValue(t, r, "1") // reading gives no credit; Grant does
	r.Grant(1)
	wantOutcome(t, m.Respond(id, []byte("3")), pending.Delivered)
	wantOutcome(t, m.Respond(id, []byte("4")), pending.Overrun)
	wantOutcome(t, m.Respond(id, []byte("5")), pending.Unknown)
	wantValue(t, r, "2")
	wantValue(t, r, "3")
	wantEnd(t, r, pending.ErrOverrun)
	if s := m.Stats(); s.Overruns != 1 || s.InFlight != 1 {
		t.Errorf("stats %+v", s)
	}
	if !r.Leave() {
		t.Error("the other side is not to be told of the overrun")
	}
}

func TestNoCreditAtFirst(t *testing.T) {
	var m pending.Map
	r := mustAdd(t, &m, "s", pending.Options{Stream: true})
	wantOutcome(t, m.Respond([]byte("s"), []byte("1")), pending.Overrun)
	wantEnd(t, r, pending.ErrOverrun)
}

func TestBoundsWithoutCredit(t *testing.T) {
	var m pending.Map
	mustAdd(t, &m, "n", pending.Options{Stream: true, Credit: -1})
	for range pending.MaxBuffered {
		wantOutcome(t, m.Respond([]byte("n"), nil), pending.Delivered)
	}
	wantOutcome(t, m.Respond([]byte("n"), nil), pending.Overrun)

	r := mustAdd(t, &m, "b", pending.Options{Stream: true, Credit: -1})
	big := make([]byte, pending.MaxBufferedBytes+1)
	wantOutcome(t, m.Respond([]byte("b"), big), pending.Delivered) // one is taken whatever its size
	if v, err := r.Next(t.Context()); len(v) != len(big) || err != nil {
		t.Errorf("%d bytes, %v", len(v), err)
	}
	half := big[:pending.MaxBufferedBytes/2]
	wantOutcome(t, m.Respond([]byte("b"), half), pending.Delivered)
	wantOutcome(t, m.Respond([]byte("b"), half), pending.Delivered)
	wantOutcome(t, m.Respond([]byte("b"), []byte("1")), pending.Overrun)
}

// A wake-up that is left over from an earlier value is no answer.
func TestStaleWake(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var m pending.Map
		r := mustAdd(t, &m, "s", pending.Options{Stream: true, Credit: -1})
		m.Respond([]byte("s"), []byte("1"))
		wantValue(t, r, "1") // taken without waiting: the wake-up is still there
		go func() { <-time.After(time.Second); m.Complete([]byte("s")) }()
		wantEnd(t, r, io.EOF)
	})
}
