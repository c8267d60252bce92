package slots_test

import (
	"errors"
	"testing"

	"github.com/alkdev/hubspoke/bench/slots"
)

func TestRepliesReachTheirCalls(t *testing.T) {
	s := slots.New(2)
	one, frame1, err := s.Take([]byte("one"))
	if err != nil {
		t.Fatal(err)
	}
	two, frame2, err := s.Take([]byte("two"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Take(nil); !errors.Is(err, slots.ErrNone) {
		t.Errorf("a third call in two slots: %v", err)
	}
	for _, frame := range [][]byte{frame2, frame1} {
		if err := s.Deliver(frame); err != nil {
			t.Fatal(err)
		}
	}
	for want, slot := range map[string]*slots.Slot{"one": one, "two": two} {
		if got, err := s.Wait(slot); err != nil || string(got) != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	if again, _, err := s.Take(nil); err != nil {
		t.Error("no slot is free again:", err)
	} else if s.Fail(); true {
		if _, err := s.Wait(again); !errors.Is(err, slots.ErrLost) {
			t.Errorf("after the connection was lost: %v", err)
		}
	}
}

func TestFramesThatAreNone(t *testing.T) {
	s := slots.New(1)
	for _, frame := range [][]byte{nil, {1, 0, 0}, {1, 0, 0, 0}, {255, 255, 255, 127, 'x'}} {
		if s.Deliver(frame) == nil {
			t.Errorf("%v was taken", frame)
		}
	}
}

func TestPublished(t *testing.T) {
	frame := slots.AppendPublished(nil, []byte("x"))
	if got, ok := slots.Published(frame); !ok || string(got) != "x" {
		t.Errorf("got %q, %v", got, ok)
	}
	if slots.New(1).Deliver(frame) == nil {
		t.Error("what is published was taken for a reply")
	}
	_, call, err := slots.New(1).Take([]byte("x"))
	if _, ok := slots.Published(call); ok || err != nil {
		t.Error("a call was taken for what is published")
	}
}
