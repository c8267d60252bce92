package hub_test

import (
	"context"
	"fmt"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
)

// Hubs with one backplane call each other's spokes.
func ExampleNewMemoryBackplane() {
	ctx := context.Background()
	backplane := hub.NewMemoryBackplane()
	first, err := hub.New(&hub.Options{ID: "hub-1", AllowAnonymous: true, Backplane: backplane})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer first.Close()
	second, err := hub.New(&hub.Options{ID: "hub-2", AllowAnonymous: true, Backplane: backplane})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer second.Close()
	_, stop := startExampleSpoke(first, "worker-7", nil)
	defer stop()

	fmt.Println(call.Invoke[string](ctx, second, "node.name", nil))
	spokes, err := second.AllSpokes(ctx, nil, nil)
	for _, info := range spokes {
		fmt.Println(info.SpokeID, info.HubID, err)
	}
	// Output:
	// worker-7 <nil>
	// worker-7 hub-1 <nil>
}
