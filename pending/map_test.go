package pending_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"

	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/pending"
)

var errRemote = errors.New("what the other side said")

func mustAdd(t *testing.T, m *pending.Map, id string, o pending.Options) *pending.Request {
	t.Helper()
	r, err := m.Add(id, o)
	if err != nil {
		t.Fatalf("Add(%q): %v", id, err)
	}
	return r
}

func wantOutcome(t *testing.T, got, want pending.Outcome) {
	t.Helper()
	if got != want {
		t.Errorf("outcome %d, want %d", got, want)
	}
}

func wantValue(t *testing.T, r *pending.Request, want string) {
	t.Helper()
	v, err := r.Next(context.Background())
	if err != nil || string(v) != want {
		t.Errorf("Next of %s = %q, %v; want %q", r.ID(), v, err, want)
	}
}

func wantEnd(t *testing.T, r *pending.Request, want error) {
	t.Helper()
	if v, err := r.Next(context.Background()); !errors.Is(err, want) {
		t.Errorf("Next of %s = %q, %v; want %v", r.ID(), v, err, want)
	}
}

func TestUnaryEndsWithItsValue(t *testing.T) {
	var m pending.Map
	r := mustAdd(t, &m, "a", pending.Options{})
	id, value := []byte("a"), []byte("one")
	wantOutcome(t, m.Respond(id, value), pending.Delivered)
	id[0] = 'b' // the id is not kept
	if n := m.Len(); n != 0 {
		t.Errorf("%d in flight after the answer", n)
	}
	wantValue(t, r, "one")
	wantEnd(t, r, io.EOF)
	wantEnd(t, r, io.EOF)
	if r.Leave() {
		t.Error("the other side is said to be at work on an answered call")
	}
	if r.ID() != "a" {
		t.Errorf("ID %q", r.ID())
	}
}

func TestUnaryCompletedWithoutValueGetsAnEmptyOne(t *testing.T) {
	var m pending.Map
	r := mustAdd(t, &m, "a", pending.Options{})
	wantOutcome(t, m.Complete([]byte("a")), pending.Delivered)
	if v, err := r.Next(t.Context()); v != nil || err != nil {
		t.Errorf("Next = %q, %v; want an empty value", v, err)
	}
	wantEnd(t, r, io.EOF)
}

func TestFailure(t *testing.T) {
	for _, stream := range []bool{false, true} {
		var m pending.Map
		r := mustAdd(t, &m, "a", pending.Options{Stream: stream, Credit: 2})
		if stream {
			m.Respond([]byte("a"), []byte("before"))
		}
		wantOutcome(t, m.Fail([]byte("a"), errRemote), pending.Delivered)
		wantOutcome(t, m.Fail([]byte("a"), errors.New("a second one")), pending.Unknown)
		if stream {
			wantValue(t, r, "before") // what came before the end comes first
		}
		wantEnd(t, r, errRemote)
		wantEnd(t, r, errRemote)
	}
}

func TestStreamEndsWithCompletion(t *testing.T) {
	var m pending.Map
	r := mustAdd(t, &m, "s", pending.Options{Stream: true, Credit: -1})
	for i := range 3 {
		wantOutcome(t, m.Respond([]byte("s"), fmt.Append(nil, i)), pending.Delivered)
	}
	wantOutcome(t, m.Complete([]byte("s")), pending.Delivered)
	wantOutcome(t, m.Respond([]byte("s"), nil), pending.Unknown)
	for i := range 3 {
		wantValue(t, r, fmt.Sprint(i))
	}
	wantEnd(t, r, io.EOF)
	if s := m.Stats(); s != (pending.Stats{Unknown: 1}) {
		t.Errorf("stats %+v", s)
	}
}

// What arrives for nobody is counted and never reaches a later request.
func TestUnknownIsCountedAndGoesNowhere(t *testing.T) {
	var m pending.Map
	wantOutcome(t, m.Respond([]byte("a"), []byte("early")), pending.Unknown)
	wantOutcome(t, m.Complete([]byte("a")), pending.Unknown)
	wantOutcome(t, m.Fail([]byte("a"), errRemote), pending.Unknown)
	r := mustAdd(t, &m, "a", pending.Options{})
	m.Respond([]byte("a"), []byte("mine"))
	wantValue(t, r, "mine")
	if s := m.Stats(); s.Unknown != 3 {
		t.Errorf("%d unknown, want 3", s.Unknown)
	}
}

func TestRefusals(t *testing.T) {
	var m pending.Map
	mustAdd(t, &m, "a", pending.Options{})
	if _, err := m.Add("a", pending.Options{}); !errors.Is(err, pending.ErrDuplicate) {
		t.Errorf("the same id again: %v", err)
	}
	m.SetLimit(2)
	mustAdd(t, &m, "b", pending.Options{})
	if _, err := m.Add("c", pending.Options{}); !errors.Is(err, pending.ErrFull) || !m.Full() {
		t.Errorf("over the limit: %v, full %v", err, m.Full())
	}
	m.SetLimit(1) // those beyond it stay
	if m.Len() != 2 {
		t.Errorf("%d in flight, want 2", m.Len())
	}
	m.Complete([]byte("a"))
	if !m.Full() {
		t.Error("one of one is not full")
	}
	m.SetLimit(0)
	mustAdd(t, &m, "c", pending.Options{})
	if m.Full() {
		t.Error("no limit, but full")
	}
}

func TestCloseFailsAllAndRefusesNew(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var m pending.Map
		cause := errors.New("gone")
		ends := make(chan error, 3)
		for _, id := range []string{"a", "b", "c"} {
			r := mustAdd(t, &m, id, pending.Options{Stream: id == "c", Credit: 1})
			go func() { _, err := r.Next(context.Background()); ends <- err }()
		}
		full := mustAdd(t, &m, "d", pending.Options{Stream: true, Credit: 1})
		m.Respond([]byte("d"), []byte("before"))
		synctest.Wait()
		m.Close(cause)
		for range 3 {
			if err := <-ends; !errors.Is(err, cause) {
				t.Errorf("a waiter got %v", err)
			}
		}
		wantValue(t, full, "before")
		wantEnd(t, full, cause)
		m.Close(errors.New("only the first counts"))
		if _, err := m.Add("e", pending.Options{}); !errors.Is(err, cause) {
			t.Errorf("Add after Close: %v", err)
		}
		if m.Len() != 0 || !m.Full() || full.Leave() {
			t.Error("something is in flight after Close")
		}
		wantOutcome(t, m.Respond([]byte("a"), nil), pending.Unknown)
	})
}

func TestCloseWithoutCauseIsErrClosed(t *testing.T) {
	var m pending.Map
	r := mustAdd(t, &m, "a", pending.Options{})
	m.Close(nil)
	wantEnd(t, r, pending.ErrClosed)
}

// A handler that goes on after the answer of a unary call is told once to stop.
func TestSurplusIsToldOnce(t *testing.T) {
	var m pending.Map
	mustAdd(t, &m, "a", pending.Options{})
	wantOutcome(t, m.Respond([]byte("a"), nil), pending.Delivered)
	wantOutcome(t, m.Respond([]byte("a"), nil), pending.Surplus)
	wantOutcome(t, m.Respond([]byte("a"), nil), pending.Unknown)
	if s := m.Stats(); s.Unknown != 2 {
		t.Errorf("%d unknown, want 2", s.Unknown)
	}
	for i := range 40 { // only the last few are remembered
		id := fmt.Sprint("n", i)
		mustAdd(t, &m, id, pending.Options{})
		m.Respond([]byte(id), nil)
	}
	wantOutcome(t, m.Respond([]byte("n0"), nil), pending.Unknown)
	wantOutcome(t, m.Respond([]byte("n39"), nil), pending.Surplus)
}

func TestEmpty(t *testing.T) {
	var m pending.Map
	isClosed := func(c <-chan struct{}) bool {
		select {
		case <-c:
			return true
		default:
			return false
		}
	}
	if !isClosed(m.Empty()) {
		t.Error("an empty map is not empty")
	}
	a := mustAdd(t, &m, "a", pending.Options{})
	b := mustAdd(t, &m, "b", pending.Options{})
	c := m.Empty()
	a.Leave() // still at work there
	b.Drop()
	if isClosed(c) || isClosed(m.Empty()) {
		t.Error("empty with a request that was left")
	}
	m.Fail([]byte("a"), errRemote)
	if !isClosed(c) || !isClosed(m.Empty()) {
		t.Error("not empty after the last")
	}
	mustAdd(t, &m, "c", pending.Options{})
	c = m.Empty()
	m.Close(nil)
	if !isClosed(c) {
		t.Error("not empty after Close")
	}
}
