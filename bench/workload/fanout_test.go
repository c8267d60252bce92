package workload

import (
	"strings"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/bench/process"
)

// faultyFan publishes to subscribers in memory; deliveries says how often each of them gets a message.
func faultyFan(p Params, deliveries func(subscriber int, seq uint64) int) *fan {
	f := newFan(nil, p)
	f.limit = 50 * time.Millisecond
	var to []func([]byte)
	for i := range p.Connections {
		to = append(to, f.subscriber(i))
	}
	f.send = func(first uint64, messages, size int) error {
		for seq := first; seq < first+uint64(messages); seq++ {
			for i, deliver := range to {
				for range deliveries(i, seq) {
					deliver(process.Payload(nil, seq, size))
				}
			}
		}
		return nil
	}
	return f
}

func TestFanLastMessageMissing(t *testing.T) {
	f := faultyFan(Params{Connections: 3, Bytes: 64}, func(subscriber int, seq uint64) int {
		if subscriber == 1 && seq == 5 {
			return 0
		}
		return 1
	})
	if err := f.publish(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if err := f.publish(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
	}
	err := f.wait(t.Context(), f.next)
	if err == nil || !strings.Contains(err.Error(), "message 5 reached 2 of 3") {
		t.Error(err)
	}
}

// A message that comes again at the very end is seen by the one that is published for that.
func TestFanLastMessageRepeated(t *testing.T) {
	f := faultyFan(Params{Connections: 3, Bytes: 64, Burst: 4}, func(subscriber int, seq uint64) int {
		if subscriber == 2 && seq == 3 {
			return 2
		}
		return 1
	})
	if err := f.publish(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	err := f.wait(t.Context(), f.next)
	if err == nil || !strings.Contains(err.Error(), "subscriber 2: message 4 has to come") {
		t.Error(err)
	}
}

// Two bursts are on their way at most: the third waits for all of the first.
func TestFanWaitsForBursts(t *testing.T) {
	f := newFan(func(uint64, int, int) error { return nil }, Params{Connections: 1, Bytes: 64, Burst: 8})
	f.limit = 50 * time.Millisecond
	deliver := f.subscriber(0)
	for range 2 {
		if err := f.publish(t.Context(), 8); err != nil {
			t.Fatal(err)
		}
	}
	for seq := range uint64(7) {
		deliver(process.Payload(nil, seq, 64))
	}
	if err := f.publish(t.Context(), 8); err == nil || !strings.Contains(err.Error(), "message 7 reached 0 of 1") {
		t.Errorf("with 9 messages on their way: %v", err)
	}
	deliver(process.Payload(nil, 7, 64))
	if err := f.publish(t.Context(), 8); err != nil {
		t.Error(err)
	}
}

func TestOverlapping(t *testing.T) {
	zero := time.Now()
	s := func(start, took int) span { return span{zero.Add(time.Duration(start)), time.Duration(took)} }
	small := []span{s(0, 9), s(10, 9), s(20, 9), s(30, 9), s(40, 9)}
	got := overlapping(small, []span{s(12, 10), s(45, 100)})
	if len(got) != 3 || got[0] != small[1] || got[1] != small[2] || got[2] != small[4] {
		t.Errorf("%v", got)
	}
}
