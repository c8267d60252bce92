package transporttest

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/alkdev/hubspoke/transport"
)

func testOrder(t *testing.T, a, b transport.Conn) {
	const batches, size = 50, 20
	go func() {
		for i := range batches {
			var batch [][]byte
			for j := range size {
				batch = append(batch, fmt.Appendf(nil, "%d %s", i*size+j, strings.Repeat("x", j*j)))
			}
			if err := a.Write(batch); err != nil {
				t.Errorf("Write: %v", err)
				return
			}
		}
	}()
	for n := range batches * size {
		if got, want := read(t, b), fmt.Sprintf("%d %s", n, strings.Repeat("x", n%size*(n%size))); got != want {
			t.Fatalf("message %d is %.20q, want %.20q", n, got, want)
		}
	}
}

func testBothWays(t *testing.T, a, b transport.Conn) {
	const n = 500
	var all sync.WaitGroup
	for _, c := range []transport.Conn{a, b} {
		all.Go(func() {
			for i := range n {
				if err := c.Write(frames(fmt.Sprint(i), strings.Repeat("y", i))); err != nil {
					t.Errorf("Write: %v", err)
				}
			}
		})
		all.Go(func() {
			for i := range n {
				for _, want := range []string{fmt.Sprint(i), strings.Repeat("y", i)} {
					if got, err := c.Read(); err != nil || string(got) != want {
						t.Errorf("Read: %.20q, %v; want %.20q", got, err, want)
					}
				}
			}
		})
	}
	all.Wait()
}

// testBig: the default limit is 1 MiB and 64 KiB, so a batch of 3 MB is made of
// messages just below it.
func testBig(t *testing.T, a, b transport.Conn) {
	sizes := []int{125, 126, 127, 65535, 65536, 65537, 1 << 20, 1<<20 + 64<<10, 1 << 20, 5}
	var batch [][]byte
	for i, n := range sizes {
		m := make([]byte, n)
		for j := range m {
			m[j] = byte('a' + (i+j*7+j>>8)%26)
		}
		batch = append(batch, m)
	}
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() {
		if err := a.Write(batch); err != nil {
			t.Errorf("Write: %v", err)
		}
	})
	for i, want := range batch {
		if got := read(t, b); got != string(want) {
			t.Fatalf("message %d of %d bytes came as another one of %d", i, len(want), len(got))
		}
	}
}

func testEmpty(t *testing.T, a, b transport.Conn) {
	if err := a.Write(nil); err != nil {
		t.Errorf("Write of nothing: %v", err)
	}
	write(t, a, "", "x")
	if got := read(t, b); got != "" {
		t.Errorf("got %q", got)
	}
	if got := read(t, b); got != "x" {
		t.Errorf("got %q", got)
	}
}

func testFramesNotKept(t *testing.T, a, b transport.Conn) {
	m := bytes.Repeat([]byte("m"), 1000)
	want := string(m)
	if err := a.Write([][]byte{m, m}); err != nil {
		t.Fatal(err)
	}
	if string(m) != want {
		t.Error("Write changed the message")
	}
	clear(m)
	first, err := b.Read()
	if err != nil || string(first) != want {
		t.Fatalf("Read: %.10q, %v", first, err)
	}
	clear(first) // the reader may write to what it was given
	if got := read(t, b); got != want {
		t.Errorf("got %.10q", got)
	}
}

func testLimit(t *testing.T, a, b transport.Conn) {
	end := ending(a)
	go func() { _ = a.Write([][]byte{make([]byte, 1<<20+64<<10+1), make([]byte, 3<<20)}) }()
	_, err := b.Read()
	wantClose(t, err, transport.CloseMessageTooBig, false)
	wantClose(t, <-end, transport.CloseMessageTooBig, true)
}

// testTryRead: TryRead and Read together find everything, in order.
func testTryRead(t *testing.T, a, b transport.Conn) {
	if data, ok, err := b.TryRead(); ok || err != nil {
		t.Errorf("TryRead of nothing: %q, %v, %v", data, ok, err)
	}
	const batches, size = 20, 10
	go func() {
		for i := range batches {
			var batch [][]byte
			for j := range size {
				batch = append(batch, fmt.Appendf(nil, "%d %s", i*size+j, strings.Repeat("x", 40*j*j)))
			}
			if err := a.Write(batch); err != nil {
				t.Errorf("Write: %v", err)
			}
		}
		a.Close(transport.CloseNormal, "")
		_ = readEnd(a)
	}()
	for n := range batches * size {
		data, ok, err := b.TryRead()
		if !ok && err == nil {
			data, err = b.Read()
		}
		if want := fmt.Sprintf("%d %s", n, strings.Repeat("x", 40*(n%size)*(n%size))); err != nil || string(data) != want {
			t.Fatalf("message %d is %.20q, %v; want %.20q", n, data, err, want)
		}
	}
	first := readEnd(b)
	wantClose(t, first, transport.CloseNormal, true)
	if data, ok, err := b.TryRead(); ok || !errors.Is(err, first) {
		t.Errorf("TryRead after the end: %q, %v, %v", data, ok, err)
	}
}

// testTryWrite: TryWrite and Write in turn keep the order.
func testTryWrite(t *testing.T, a, b transport.Conn) {
	const n = 500
	go func() {
		for i := range n {
			batch := frames(fmt.Sprint(i), strings.Repeat("y", i))
			if i%3 > 0 && a.TryWrite(batch) {
				clear(batch[0]) // it is not kept
				continue
			}
			if err := a.Write(batch); err != nil {
				t.Errorf("Write: %v", err)
			}
		}
	}()
	for i := range n {
		for _, want := range []string{fmt.Sprint(i), strings.Repeat("y", i)} {
			if got := read(t, b); got != want {
				t.Fatalf("got %.20q, want %.20q", got, want)
			}
		}
	}
	end := ending(b)
	a.Close(transport.CloseNormal, "")
	if a.TryWrite(frames("x")) {
		t.Error("TryWrite after Close succeeded")
	}
	wantClose(t, readEnd(a), transport.CloseNormal, false)
	wantClose(t, <-end, transport.CloseNormal, true)
	if a.TryWrite(frames("x")) || b.TryWrite(frames("x")) {
		t.Error("TryWrite after the end succeeded")
	}
}

// counter is a Meter that allows so many frames.
type counter struct{ most, frames, bytes, calls int }

func (c *counter) Received(frames, bytes int) bool {
	c.frames, c.bytes, c.calls = c.frames+frames, c.bytes+bytes, c.calls+1
	return c.frames <= c.most
}

// testMeter: each message is counted before it is returned, and the one too many closes the connection.
func testMeter(t *testing.T, a, b transport.Conn) {
	c := &counter{most: 5}
	b.SetMeter(c)
	end := ending(a)
	size := 0
	for i := range c.most {
		m := strings.Repeat("x", 100*i)
		size += len(m)
		write(t, a, m)
		if got := read(t, b); got != m || c.frames != i+1 || c.bytes < size {
			t.Fatalf("%d bytes of %d; counted %d frames, %d bytes", len(got), len(m), c.frames, c.bytes)
		}
	}
	write(t, a, "one too many", "and another")
	wantClose(t, readEnd(b), transport.CloseRateLimit, false)
	wantClose(t, <-end, transport.CloseRateLimit, true)
	if c.frames != c.most+1 {
		t.Errorf("%d frames were counted, want %d", c.frames, c.most+1)
	}
}
