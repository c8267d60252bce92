package spoke_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/spoke"
	"github.com/alkdev/hubspoke/transport"
)

// runAtSilent runs a spoke and returns it with the hub's end of its connection, which nothing reads but the test.
func runAtSilent(t *testing.T, o spoke.Options) (*spoke.Spoke, transport.Conn) {
	t.Helper()
	h := make(rawHub, 1)
	o.ID, o.Dialer = "a", h
	s, err := spoke.New("ws://h.test/", &o)
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan struct{})
	go func() {
		defer close(ran)
		_ = s.Run(ctx) // ends with ctx
	}()
	conn := h.answer(t, `"session":null`)
	t.Cleanup(func() {
		cancel()
		conn.Abort()
		<-ran
	})
	synctest.Wait()
	if s.State() != spoke.Registered {
		t.Fatalf("the spoke is %v", s.State())
	}
	return s, conn
}

// A hub that does not read what it is sent is left with 1001, and occupies no more of the spoke's memory than twice the bound.
func TestHubThatDoesNotRead(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, hub := runAtSilent(t, spoke.Options{LogBytes: 16 << 10, MaxMessageBytes: 8 << 10})
		for i := range 2000 {
			if hub.Write([][]byte{fmt.Appendf(nil, `{"type":"call.requested","payload":{"requestId":"%d"}}`, i)}) != nil {
				break
			}
			if n := s.Stats().QueuedBytes; n > 40<<10 {
				t.Fatalf("%d bytes wait", n)
			}
		}
		var err error
		for err == nil {
			_, err = hub.Read()
		}
		if ce, ok := errors.AsType[*transport.CloseError](err); !ok || ce.Code != transport.CloseGoingAway || !strings.Contains(ce.Reason, "not read") {
			t.Errorf("%v", err)
		}
	})
}

// A spoke answers a request for an operation that it does not serve with an error that names both and is retryable.
func TestSpokeDoesNotServeTheOperation(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		_, hub := runAtSilent(t, spoke.Options{})
		if err := hub.Write([][]byte{[]byte(`{"type":"call.requested","payload":{"requestId":"1","operationId":"test.unknown"}}`)}); err != nil {
			t.Fatal(err)
		}
		text, err := hub.Read()
		if err != nil {
			t.Fatal(err)
		}
		_, payload, _ := strings.Cut(string(text), `"payload":`)
		e := new(call.Error)
		if err := e.UnmarshalJSON([]byte(strings.TrimSuffix(payload, "}"))); err != nil {
			t.Fatal(err)
		}
		wantError(t, e, call.CodeOperationNotFound, false)
		if !e.Retryable || !strings.Contains(e.Message, `"test.unknown"`) || !strings.Contains(e.Message, "spoke a") {
			t.Errorf("%+v", e)
		}
	})
}
