package transporttest

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/alkdev/hubspoke/transport"
)

// closeOnce closes a and checks what both ends say.
func closeOnce(t *testing.T, a, b transport.Conn, code transport.CloseCode, reason string) {
	t.Helper()
	end := ending(b)
	a.Close(code, reason)
	mine, theirs := readEnd(a), <-end
	wantClose(t, mine, code, false)
	wantClose(t, theirs, code, true)
	for _, err := range []error{mine, theirs} {
		if ce, ok := errors.AsType[*transport.CloseError](err); ok && ce.Reason != reason {
			t.Errorf("reason %q, want %q", ce.Reason, reason)
		}
	}
}

func testCloseNoCode(t *testing.T, a, b transport.Conn) {
	closeOnce(t, a, b, transport.CloseNoStatus, "")
}

func testLongReason(t *testing.T, a, b transport.Conn) {
	end := ending(b)
	a.Close(transport.CloseGoingAway, "x"+strings.Repeat("ü", 100))
	_ = readEnd(a)
	ce, ok := errors.AsType[*transport.CloseError](<-end)
	if !ok || len(ce.Reason) != 123 || !utf8.ValidString(ce.Reason) {
		t.Errorf("got %v", ce)
	}
}

func testCloseTwice(t *testing.T, a, b transport.Conn) {
	end := ending(b)
	a.Close(transport.CloseNormal, "first")
	a.Close(transport.CloseKicked, "second")
	wantClose(t, readEnd(a), transport.CloseNormal, false)
	wantClose(t, <-end, transport.CloseNormal, true)
	a.Close(transport.CloseKicked, "third")
	b.Close(transport.CloseKicked, "fourth")
	wantClose(t, readEnd(a), transport.CloseNormal, false)
	wantClose(t, readEnd(b), transport.CloseNormal, true)
}

func testCloseBoth(t *testing.T, a, b transport.Conn) {
	a.Close(transport.CloseNormal, "")
	b.Close(transport.CloseGoingAway, "")
	end := ending(b)
	wantClose(t, readEnd(a), transport.CloseNormal, false)
	wantClose(t, <-end, transport.CloseGoingAway, false)
}

func testCloseAfterData(t *testing.T, a, b transport.Conn) {
	write(t, a, "one", "two")
	a.Close(transport.CloseNormal, "")
	end := ending(a)
	if got := read(t, b) + read(t, b); got != "onetwo" {
		t.Errorf("got %q", got)
	}
	_, err := b.Read()
	wantClose(t, err, transport.CloseNormal, true)
	wantClose(t, <-end, transport.CloseNormal, false)
}

func testCloseDiscards(t *testing.T, a, b transport.Conn) {
	write(t, b, "unread")
	a.Close(transport.CloseNormal, "")
	wantClose(t, a.Write(frames("refused")), transport.CloseNormal, false)
	end := ending(b)
	_, err := a.Read()
	wantClose(t, err, transport.CloseNormal, false)
	wantClose(t, <-end, transport.CloseNormal, true)
}

func testCloseUnanswered(t *testing.T, a, b transport.Conn) {
	a.Close(transport.CloseNormal, "") // b does not read
	wantClose(t, readEnd(a), transport.CloseNormal, false)
	// The close frame was on the way before the linger time was over.
	wantClose(t, readEnd(b), transport.CloseNormal, true)
}

// stuck starts a Write on c that cannot end while the other side does not read.
func stuck(t *testing.T, c transport.Conn) <-chan error {
	t.Helper()
	batch := make([][]byte, 24) // sockets on a loopback take up to 10 MiB
	batch[0] = make([]byte, 1<<20)
	for i := range batch {
		batch[i] = batch[0]
	}
	done := make(chan error, 1)
	go func() { done <- c.Write(batch) }()
	return done
}

func testCloseBlockedWrite(t *testing.T, a, _ transport.Conn) {
	done := stuck(t, a)
	end := ending(a)
	a.Close(transport.CloseNormal, "") // must not block
	wantClose(t, <-end, transport.CloseNormal, false)
	wantClose(t, <-done, transport.CloseNormal, false)
}

func testCloseEndsPeerWrite(t *testing.T, a, b transport.Conn) {
	done := stuck(t, a)
	end := ending(a)
	b.Close(transport.CloseSlowConsumer, "") // and b does not read
	wantClose(t, <-end, transport.CloseSlowConsumer, true)
	if err := <-done; err == nil {
		t.Error("Write succeeded")
	}
}

func testAbort(t *testing.T, a, b transport.Conn) {
	mine, theirs := ending(a), ending(b)
	a.Abort()
	a.Abort()
	wantLost(t, <-mine)
	wantLost(t, <-theirs)
	wantLost(t, a.Write(frames("x")))
	if err := b.Write(frames("x")); err == nil {
		t.Error("Write after the end succeeded")
	}
}

func testAbortWrite(t *testing.T, a, _ transport.Conn) {
	done := stuck(t, a)
	a.Abort()
	wantLost(t, <-done)
	wantLost(t, readEnd(a))
}

func testAbortThereEndsWrite(t *testing.T, a, b transport.Conn) {
	done := stuck(t, a)
	b.Abort()
	wantLost(t, <-done)
	wantLost(t, readEnd(a))
}

func testAbortAfterClose(t *testing.T, a, _ transport.Conn) {
	a.Close(transport.CloseNormal, "")
	a.Abort()
	wantClose(t, readEnd(a), transport.CloseNormal, false)
	wantClose(t, a.Write(frames("x")), transport.CloseNormal, false)
}

func testFinal(t *testing.T, a, b transport.Conn) {
	end := ending(b)
	a.Close(transport.CloseIDTaken, "taken")
	first := readEnd(a)
	if again := readEnd(a); !errors.Is(again, first) {
		t.Errorf("first %v, then %v", first, again)
	}
	theirs := <-end
	wantClose(t, theirs, transport.CloseIDTaken, true)
	wantClose(t, b.Write(frames("x")), transport.CloseIDTaken, true)
	if err := b.Ping(); !errors.Is(err, errors.ErrUnsupported) {
		wantClose(t, err, transport.CloseIDTaken, true)
	}
	b.Close(transport.CloseNormal, "")
	b.Abort()
	if again := readEnd(b); !errors.Is(again, theirs) {
		t.Errorf("first %v, then %v", theirs, again)
	}
}
