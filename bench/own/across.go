package own

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/redis/rueidis"

	"github.com/alkdev/hubspoke/bench/contender"
	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub/redisbackplane"
)

// closer makes what ends without an error an io.Closer.
type closer func()

func (c closer) Close() error {
	c()
	return nil
}

// Across is W5: each of the two hubs has a client and a backplane of its own, as if in another process.
func Across(s contender.Setup) (contender.Caller, error) {
	return start(s, func(ctx context.Context, c *caller) error {
		run := rand.Text()
		near, err := c.joined(s, run)
		if err != nil {
			return err
		}
		far, err := c.joined(s, run)
		if err != nil {
			return err
		}
		c.call = near.hub
		if err := c.callee(ctx, s, far); err != nil {
			return err
		}
		// The first call also waits until the other hub knows who serves it.
		_, err = c.call.Call(ctx, &call.Request{Operation: operation, Input: []byte(`{"seq":"","pad":""}`), WaitForSpoke: true})
		if err != nil {
			return fmt.Errorf("own: the first call to the other hub: %w", err)
		}
		return nil
	})
}

// joined makes a hub that is joined with those of the same run.
func (c *caller) joined(s contender.Setup, run string) (*node, error) {
	client, err := redisbackplane.Connect(s.Redis)
	if err != nil {
		return nil, err
	}
	c.parts = append(c.parts, closer(client.Close))
	bp, err := newBackplane(client, run)
	if err != nil {
		return nil, err
	}
	c.parts = append(c.parts, closer(bp.Close))
	n, err := newNode(s, bp.Backplane())
	if err != nil {
		return nil, err
	}
	c.parts = append(c.parts, n)
	return n, nil
}

// newBackplane has keys and channels that no other run has.
func newBackplane(client rueidis.Client, run string) (*redisbackplane.Backplane, error) {
	return redisbackplane.New(client, &redisbackplane.Options{Prefix: "bench:" + run + ":"})
}
