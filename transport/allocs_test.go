//go:build !race

package transport_test

import "testing"

// An echo costs nothing on either side, whether it is written with Write or with TryWrite.
func TestEchoAllocations(t *testing.T) {
	a, b := newServer(t, false, nil).pair(t, testLinger)
	t.Cleanup(a.Abort)
	go func() {
		answer := make([][]byte, 1)
		for {
			data, err := b.Read()
			if err != nil {
				return
			}
			answer[0] = data
			if b.Write(answer) != nil {
				return
			}
		}
	}()
	frame := [][]byte{[]byte(`{"type":"topic","payload":"text"}`)}
	echo := func(write func() bool) float64 {
		return testing.AllocsPerRun(1000, func() {
			if !write() {
				t.Error("not written")
			}
			if _, err := a.Read(); err != nil {
				t.Error(err)
			}
		})
	}
	if n := echo(func() bool { return a.Write(frame) == nil }); n > 0 {
		t.Errorf("Write: %v allocations, want none", n)
	}
	if n := echo(func() bool { return a.TryWrite(frame) }); n > 0 {
		t.Errorf("TryWrite: %v allocations, want none", n)
	}
}
