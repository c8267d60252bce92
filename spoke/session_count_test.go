package spoke_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/spoke"
	"github.com/alkdev/hubspoke/transport"
)

// rawHub is a hub whose connections the test serves itself.
type rawHub chan transport.Conn

func (h rawHub) Dial(context.Context, string, http.Header) (transport.Conn, error) {
	near, far := transport.Pipe(nil)
	h <- far
	return near, nil
}

// offered is what a registration offers.
type offered struct {
	Session *struct {
		ID       *string
		Received *uint64
	}
}

// accept reads a registration and answers it with the session, a JSON object.
func (h rawHub) accept(t *testing.T, session string) (transport.Conn, offered) {
	t.Helper()
	conn := <-h
	text, err := conn.Read()
	var f struct {
		Payload struct {
			RequestID string
			Input     offered
		}
	}
	if err != nil || json.Unmarshal(text, &f) != nil {
		t.Fatalf("%s, %v", text, err)
	}
	answer := fmt.Appendf(nil, `{"type":"call.responded","payload":{"requestId":%q,"output":{"hubId":"raw","spokeId":"a",`+
		`"connectionId":"c","generation":1,"heartbeatInterval":25000,"session":%s}}}`, f.Payload.RequestID, session)
	if err := conn.Write([][]byte{answer}); err != nil {
		t.Fatal(err)
	}
	return conn, f.Payload.Input
}

// A hub whose count cannot belong to the session has lost it: the spoke ends its side, closes with 1002, and asks for a new session.
func TestHubWhoseCountIsOutOfRange(t *testing.T) {
	for name, received := range map[string]int{"more than was sent": 2, "less than was acknowledged": 0} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				h := make(rawHub)
				s, err := spoke.New("ws://raw.test/", &spoke.Options{ID: "a", Dialer: h})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				ran := make(chan error, 1)
				go func() { ran <- s.Run(ctx) }()
				first, reg := h.accept(t, `{"id":"one","received":0,"window":15000}`)
				if reg.Session == nil || reg.Session.ID != nil {
					t.Errorf("the first registration has %+v", reg.Session)
				}
				ended := make(chan error, 1)
				go func() { _, err := call.Invoke[any](t.Context(), s, "test.any", nil); ended <- err }()
				if _, err := first.Read(); err != nil { // the call: one counted frame
					t.Fatal(err)
				}
				if err := first.Write([][]byte{[]byte(`{"type":"__ack","payload":{"received":1}}`)}); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				first.Abort()

				second, reg := h.accept(t, fmt.Sprintf(`{"id":"one","received":%d,"window":15000}`, received))
				if reg.Session == nil || reg.Session.ID == nil || *reg.Session.ID != "one" {
					t.Errorf("the second registration has %+v", reg.Session)
				}
				_, err = second.Read()
				if ce, ok := errors.AsType[*transport.CloseError](err); !ok || ce.Code != transport.CloseProtocolError {
					t.Errorf("the spoke ended the connection with %v, want 1002", err)
				}
				second.Abort()
				wantError(t, <-ended, call.CodeDisconnected, true)

				third, reg := h.accept(t, `{"id":"two","received":0,"window":15000}`)
				if reg.Session == nil || reg.Session.ID != nil || reg.Session.Received != nil {
					t.Errorf("the third registration has %+v", reg.Session)
				}
				if err := s.Ready(t.Context()); err != nil {
					t.Error(err)
				}
				if st := s.Stats(); st.Connections != 3 || st.Resumed != 0 {
					t.Errorf("%+v", st)
				}
				cancel()
				third.Abort()
				<-ran
			})
		})
	}
}
