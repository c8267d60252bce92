package redisbackplane_test

import (
	"fmt"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/redisbackplane"
)

// All hubs that are made like this act as one. It needs a Redis, so it is compiled here and not run.
func Example() {
	authenticate := hub.BearerTokens([]hub.Token{
		{Secret: "a long secret", Identity: call.Identity{ID: "workers"}},
	})
	client, err := redisbackplane.Connect("redis://:password@redis.example.com")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close() // last: the backplane needs it, and the hub the backplane
	bp, err := redisbackplane.New(client, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer bp.Close()
	h, err := hub.New(&hub.Options{Authenticate: authenticate, Backplane: bp.Backplane()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer h.Close()
	fmt.Println(h.Health().Status)
}
