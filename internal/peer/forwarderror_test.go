package peer

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/transport"
)

// The error of a call whose connection was lost names the close code and the reason, and no address.
func TestForwardErrorNamesTheClose(t *testing.T) {
	p := &Peer{side: &testSide{funcs: config{Ends: func() (this, other string) { return "hub h", "spoke s" }}}}
	const lost = "the connection between hub h and spoke s was lost"
	closed := &transport.CloseError{Code: transport.CloseReplaced, Reason: "replaced", Remote: true}
	for want, cause := range map[string]error{
		lost + ": " + closed.Error(): closed,
		lost:                         errors.Join(transport.ErrLost, errors.New("read tcp 10.0.0.1:80: reset")),
	} {
		e := p.asError(cause)
		if e.Code != call.CodeDisconnected || !e.Sent || !e.Retryable || e.Message != want || !errors.Is(e, cause) {
			t.Errorf("%#v, want %q", e, want)
		}
	}
	// The hub's own end is no loss of this connection.
	if e := p.asError(context.Canceled); e.Code != call.CodeAborted || !e.Sent || !errors.Is(e, context.Canceled) {
		t.Errorf("%#v", e)
	}
	want := &call.Error{Code: call.CodeOverloaded}
	if e := p.asError(fmt.Errorf("wrapped: %w", want)); e != want {
		t.Errorf("%#v, want %#v", e, want)
	}
}
