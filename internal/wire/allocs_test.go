//go:build !race

package wire_test

import (
	"testing"

	"github.com/alkdev/hubspoke/internal/wire"
)

// A frame is taken apart without an allocation, and a registration with one for each text that is kept.
func TestAllocations(t *testing.T) {
	registration := []byte(`{"spokeId":"s","instanceId":"i","attempt":1,"operations":[{"name":"a.b"}],"maxInFlight":1,"maxDepth":256,"session":{"window":1}}`)
	registered := (&wire.Registered{HubID: "h", SpokeID: "s", ConnectionID: "c", Session: &wire.Session{ID: "x"}}).AppendTo(nil)
	var m wire.Message
	parse := func(frame string) func() error {
		data := []byte(frame)
		return func() error { return wire.Parse(data, &m) }
	}
	for name, test := range map[string]struct {
		atMost float64
		do     func() error
	}{
		"call.requested": {0, parse(`{"type":"call.requested","payload":{"requestId":"r","operationId":"a.b","stream":false,"timeout":1,"input":{"a":[1]}}}`)},
		"call.responded": {0, parse(`{"type":"call.responded","payload":{"requestId":"r","output":{"data":1,"meta":{"source":"local"}}}}`)},
		"event":          {0, parse(`{"type":"topic","payload":{"a":[1]}}`)},
		"ParseRegistration": {13, func() error {
			_, err := wire.ParseRegistration(registration)
			return err
		}},
		"ParseRegistered": {7, func() error {
			_, err := wire.ParseRegistered(registered)
			return err
		}},
		"ParseOperation": {7, func() error {
			_, err := wire.ParseOperation([]byte(`{"name":"a.b","type":"query"}`))
			return err
		}},
	} {
		if n := testing.AllocsPerRun(100, func() {
			if err := test.do(); err != nil {
				t.Error(name, err)
			}
		}); n > test.atMost {
			t.Errorf("%s: %v allocations, want at most %v", name, n, test.atMost)
		}
	}
}
