// Package transporttest is the contract of transport.Conn as a test suite, run
// by every implementation.
package transporttest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/alkdev/hubspoke/transport"
)

// TestConn tests every sentence of transport.Conn that can be observed. newPair
// is called once for each subtest and must make connections with default
// limits, with buffers of at most a few megabytes between them.
func TestConn(t *testing.T, newPair func(t *testing.T) (client, server transport.Conn)) {
	for _, code := range codes {
		t.Run(fmt.Sprintf("close with %d", code), func(t *testing.T) {
			client, server := pair(t, newPair)
			closeOnce(t, client, server, code, "who: grüße")
			client, server = pair(t, newPair)
			closeOnce(t, server, client, code, "")
		})
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			client, server := pair(t, newPair)
			c.run(t, client, server)
		})
		if c.oneWay {
			continue
		}
		t.Run(c.name+" from the server", func(t *testing.T) {
			client, server := pair(t, newPair)
			c.run(t, server, client)
		})
	}
}

// codes are those of protocol section 7.
var codes = []transport.CloseCode{
	1000, 1001, 1003, 1007, 1009, 1012, 1013,
	4000, 4001, 4002, 4003, 4004, 4005, 4006, 4500, 4501, 4502, 4503,
}

var cases = []struct {
	name   string
	oneWay bool // exchanging the two makes no difference
	run    func(t *testing.T, a, b transport.Conn)
}{
	{"order", false, testOrder},
	{"both ways at once", true, testBothWays},
	{"big messages", false, testBig},
	{"empty", false, testEmpty},
	{"frames are not kept", false, testFramesNotKept},
	{"message over the limit", false, testLimit},
	{"try to read", false, testTryRead},
	{"try to write", false, testTryWrite},
	{"meter", false, testMeter},
	{"close without a code", false, testCloseNoCode},
	{"long reason", false, testLongReason},
	{"close is idempotent", false, testCloseTwice},
	{"close at both ends", true, testCloseBoth},
	{"close after data", false, testCloseAfterData},
	{"close discards", false, testCloseDiscards},
	{"close unanswered", false, testCloseUnanswered},
	{"close during a blocked write", false, testCloseBlockedWrite},
	{"close by the other side ends a blocked write", false, testCloseEndsPeerWrite},
	{"abort", false, testAbort},
	{"abort unblocks write", false, testAbortWrite},
	{"abort by the other side ends a blocked write", false, testAbortThereEndsWrite},
	{"abort after close", false, testAbortAfterClose},
	{"end is final", false, testFinal},
	{"ping", false, testPing},
	{"ping never blocks", false, testPingStuck},
	{"remote address", true, testRemoteAddr},
	{"all at once", true, testConcurrent},
}

// pair makes a pair and lets go of it at the end of the test.
func pair(t *testing.T, newPair func(t *testing.T) (client, server transport.Conn)) (client, server transport.Conn) {
	t.Helper()
	client, server = newPair(t)
	t.Cleanup(func() {
		client.Abort()
		server.Abort()
		wantNoGoroutines(t)
	})
	return client, server
}

// read reads a message that must come.
func read(t *testing.T, c transport.Conn) string {
	t.Helper()
	msg, err := c.Read()
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	return string(msg)
}

// write writes messages that must go out.
func write(t *testing.T, c transport.Conn, messages ...string) {
	t.Helper()
	if err := c.Write(frames(messages...)); err != nil {
		t.Fatalf("Write: %v", err)
	}
}

func frames(messages ...string) [][]byte {
	list := make([][]byte, len(messages))
	for i, m := range messages {
		list[i] = []byte(m)
	}
	return list
}

// readEnd reads until the connection ends and returns the error.
func readEnd(c transport.Conn) error {
	for {
		if _, err := c.Read(); err != nil {
			return err
		}
	}
}

// ending is readEnd in a goroutine.
func ending(c transport.Conn) <-chan error {
	end := make(chan error, 1)
	go func() { end <- readEnd(c) }()
	return end
}

func wantClose(t *testing.T, err error, code transport.CloseCode, remote bool) {
	t.Helper()
	ce, ok := errors.AsType[*transport.CloseError](err)
	if !ok || ce.Code != code || ce.Remote != remote {
		t.Errorf("got %v, want a close with %d, remote %v", err, code, remote)
	}
	if errors.Is(err, transport.ErrLost) {
		t.Errorf("%v is ErrLost too", err)
	}
}

func wantLost(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, transport.ErrLost) {
		t.Errorf("got %v, want ErrLost", err)
	}
}
