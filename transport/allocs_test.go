//go:build !race

package transport_test

import (
	"strings"
	"testing"

	"github.com/alkdev/hubspoke/transport"
)

// What a frame costs is paid at each hop. The race detector allocates by itself, so these are not for it.
func TestFrameAllocations(t *testing.T) {
	payload := []byte(`{"requestId":"a-1","output":{"text":"` + strings.Repeat("x", 100) + `"}}`)
	frame := transport.AppendFrame(nil, "call.responded", payload)
	buffer := make([]byte, 0, 2*len(frame))
	for name, fn := range map[string]func(){
		"append": func() { buffer = transport.AppendFrame(buffer[:0], "call.responded", payload) },
		"parse": func() {
			if f, err := transport.ParseFrame(frame); err != nil || len(f.Payload) != len(payload) {
				t.Error(f, err)
			}
		},
	} {
		if n := testing.AllocsPerRun(1000, fn); n > 0 {
			t.Errorf("%s: %v allocations, want none", name, n)
		}
	}
}

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
	frame := [][]byte{transport.AppendFrame(nil, "topic", []byte(`"text"`))}
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
	if n := echo(func() bool { return a.(transport.TryWriter).TryWrite(frame) }); n > 0 {
		t.Errorf("TryWrite: %v allocations, want none", n)
	}
}
