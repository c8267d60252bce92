package spoke_test

import (
	"context"
	"errors"
	"testing"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/spoke"
)

// An operation whose name is the hub's is refused when it is added, also before the first connection.
func TestReservedOperation(t *testing.T) {
	s, err := spoke.New("ws://hub.test/", nil)
	if err != nil {
		t.Fatal(err)
	}
	err = call.Handle(s.Operations(), call.Operation{Name: "hub.x"}, func(context.Context, any) (any, error) { return 1, nil })
	if !errors.Is(err, call.ErrInvalidOperation) {
		t.Errorf("%v", err)
	}
}
