package hub_test

import (
	"testing"

	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/badvalues"
	"github.com/alkdev/hubspoke/internal/bubble"
)

// A bad value fails its own call or event, and nobody else notices: on one hub, and across two.
func TestBadValues(t *testing.T) {
	for name, test := range map[string]func(t *testing.T, from, to *hubtest.Network){"calls": badvalues.Calls, "events": badvalues.Events} {
		t.Run(name+" on one hub", func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				n := hubtest.New(t, nil)
				test(t, n, n)
			})
		})
		t.Run(name+" across two hubs", func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				a, b := twoHubs(t)
				test(t, a, b)
			})
		})
	}
}
