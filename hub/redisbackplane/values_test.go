package redisbackplane_test

import (
	"testing"

	"github.com/alkdev/hubspoke/internal/badvalues"
	"github.com/alkdev/hubspoke/internal/redistest"
)

// A bad value fails its own call or event also where two hubs on Redis are between.
func TestBadValues(t *testing.T) {
	nodes := startNodes(t, redistest.Start(t).URL(), 2)
	t.Run("calls", func(t *testing.T) { badvalues.Calls(t, nodes[0].Network, nodes[1].Network) })
	t.Run("events", func(t *testing.T) { badvalues.Events(t, nodes[0].Network, nodes[1].Network) })
}
