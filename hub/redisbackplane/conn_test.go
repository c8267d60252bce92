package redisbackplane_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/internal/redistest"
	"github.com/alkdev/hubspoke/transport"
)

// The contract of transport.Conn, on a link: what of transporttest applies to it. A
// link has no largest message, and Write waits for Redis, not for the reader, so what is there about
// these two does not.

// pairOf joins two hubs' ends and dials.
func pairOf(t *testing.T, url string) (a, b transport.Conn) {
	t.Helper()
	one, other := join(t, url, nil).Backplane().Links, join(t, url, nil).Backplane().Links
	accepted := make(chan transport.Conn, 1)
	leaveA, err := one.Join("a", func(string, transport.Conn) { t.Error("the dialler was dialled") })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(leaveA)
	leaveB, err := other.Join("b", func(from string, c transport.Conn) {
		if from != "a" {
			t.Errorf("dialled by %q", from)
		}
		accepted <- c
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(leaveB)
	if _, err := one.Dial(t.Context(), "a", "nobody"); err == nil {
		t.Error("a hub that is not there was dialled")
	}
	a, err = one.Dial(t.Context(), "a", "b")
	if err != nil {
		t.Fatal(err)
	}
	return a, <-accepted
}

func ending(c transport.Conn) <-chan error {
	end := make(chan error, 1)
	go func() { end <- readEnd(c) }()
	return end
}

func readEnd(c transport.Conn) error {
	for {
		if _, err := c.Read(); err != nil {
			return err
		}
	}
}

func wantClose(t *testing.T, err error, code transport.CloseCode, remote bool) {
	t.Helper()
	if ce, ok := errors.AsType[*transport.CloseError](err); !ok || ce.Code != code || ce.Remote != remote {
		t.Errorf("got %v, want %d, remote %v", err, code, remote)
	}
}

func TestConn(t *testing.T) {
	server := redistest.Start(t)
	for name, run := range map[string]func(t *testing.T, a, b transport.Conn){
		"order": testOrder, "big": testBig, "odd messages": testOdd, "close": testClose, "close at both ends": testCloseBoth,
		"close unanswered": testCloseUnanswered, "abort": testAbort, "all at once": testConcurrent,
	} {
		t.Run(name, func(t *testing.T) {
			a, b := pairOf(t, server.URL())
			if a.RemoteAddr() == "" || time.Since(a.LastReceived()) > time.Minute {
				t.Errorf("%q, %v", a.RemoteAddr(), a.LastReceived())
			}
			run(t, a, b)
		})
		t.Run(name+" from the other side", func(t *testing.T) {
			a, b := pairOf(t, server.URL())
			run(t, b, a)
		})
	}
}

func testOrder(t *testing.T, a, b transport.Conn) {
	const batches, size = 50, 20
	var all sync.WaitGroup
	defer all.Wait()
	for _, c := range [][2]transport.Conn{{a, b}, {b, a}} {
		all.Go(func() {
			for i := range batches {
				var batch [][]byte
				for j := range size {
					batch = append(batch, fmt.Appendf(nil, "%d %s", i*size+j, strings.Repeat("x", j*j)))
				}
				if err := c[0].Write(batch); err != nil {
					t.Errorf("Write: %v", err)
					return
				}
				clear(batch[0]) // it is not kept
			}
		})
		all.Go(func() {
			for n := range batches * size {
				want := fmt.Sprintf("%d %s", n, strings.Repeat("x", n%size*(n%size)))
				if got, err := c[1].Read(); err != nil || string(got) != want {
					t.Errorf("message %d is %.20q, %v", n, got, err)
					return
				}
			}
		})
	}
}

func testBig(t *testing.T, a, b transport.Conn) {
	var batch [][]byte
	for i, n := range []int{5, 1 << 20, 1<<20 + 1, 3 << 20, 400 << 10, 400 << 10, 400 << 10, 7} {
		batch = append(batch, []byte(strings.Repeat(string(rune('a'+i)), n)))
	}
	go func() { _ = a.Write(batch) }()
	for i, want := range batch {
		if got, err := b.Read(); err != nil || string(got) != string(want) {
			t.Fatalf("message %d: %d bytes, %v", i, len(got), err)
		}
	}
}

func testOdd(t *testing.T, a, b transport.Conn) {
	odd := []string{"", "x", `"`, `]}`, `],"frames":[`, "{", "ü\n\x00", `{"from":"b"}`}
	if err := a.Write(nil); err != nil {
		t.Errorf("Write of nothing: %v", err)
	}
	var batch [][]byte
	for _, s := range odd {
		batch = append(batch, []byte(s))
	}
	if err := a.Write(batch); err != nil {
		t.Fatal(err)
	}
	for _, want := range odd {
		got, err := b.Read()
		if err != nil || string(got) != want {
			t.Fatalf("%q, %v, want %q", got, err, want)
		}
		clear(got) // the reader may write to what it was given
	}
}

func testClose(t *testing.T, a, b transport.Conn) {
	if err := a.Write([][]byte{[]byte("last")}); err != nil {
		t.Fatal(err)
	}
	a.Close(transport.CloseKicked, strings.Repeat("ü", 100))
	a.Close(transport.CloseNormal, "the second")
	wantClose(t, a.Write([][]byte{[]byte("refused")}), transport.CloseKicked, false)
	if got, err := b.Read(); err != nil || string(got) != "last" {
		t.Errorf("%q, %v", got, err)
	}
	theirs, mine := readEnd(b), readEnd(a)
	wantClose(t, mine, transport.CloseKicked, false)
	wantClose(t, theirs, transport.CloseKicked, true)
	if ce, ok := errors.AsType[*transport.CloseError](theirs); ok && ce.Reason != strings.Repeat("ü", 61) {
		t.Errorf("reason %q", ce.Reason)
	}
	b.Abort()
	wantClose(t, b.Write([][]byte{[]byte("x")}), transport.CloseKicked, true)
	if again := readEnd(b); !errors.Is(again, theirs) {
		t.Errorf("first %v, then %v", theirs, again)
	}
}

func testCloseBoth(t *testing.T, a, b transport.Conn) {
	a.Close(transport.CloseNormal, "")
	b.Close(transport.CloseGoingAway, "")
	end := ending(b)
	wantClose(t, readEnd(a), transport.CloseNormal, false)
	theirs := <-end
	if ce, ok := errors.AsType[*transport.CloseError](theirs); ok && ce.Remote { // a's close was there before b's
		wantClose(t, theirs, transport.CloseNormal, true)
		return
	}
	wantClose(t, theirs, transport.CloseGoingAway, false)
}

func testCloseUnanswered(t *testing.T, a, b transport.Conn) {
	a.Close(transport.CloseNormal, "") // b does not read
	wantClose(t, readEnd(a), transport.CloseNormal, false)
	wantClose(t, readEnd(b), transport.CloseNormal, true)
}

func testAbort(t *testing.T, a, b transport.Conn) {
	theirs := ending(b)
	a.Abort()
	a.Abort()
	for _, err := range []error{readEnd(a), <-theirs, a.Write([][]byte{{'x'}}), b.Write([][]byte{{'x'}})} {
		if !errors.Is(err, transport.ErrLost) {
			t.Errorf("got %v", err)
		}
	}
}

// testConcurrent is for the race detector.
func testConcurrent(_ *testing.T, a, b transport.Conn) {
	var all sync.WaitGroup
	for _, c := range []transport.Conn{a, b} {
		all.Go(func() { _ = readEnd(c) })
		all.Go(func() {
			for c.Write([][]byte{{'x'}, {'y'}}) == nil {
			}
		})
		all.Go(func() {
			for range 50 {
				_, _ = c.LastReceived(), c.RemoteAddr()
				c.(hub.Watched).Watch(func() bool { return true })
			}
			c.Close(transport.CloseNormal, "")
		})
	}
	all.Wait()
	all.Go(a.Abort)
	all.Go(b.Abort)
	all.Wait()
}
