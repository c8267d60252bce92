package main

import (
	"fmt"

	"github.com/rs/zerolog"

	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/redisbackplane"
)

// joinOthers gives what joins a hub to the others on the same Redis; nil without one. Leave must be
// called when the hub is closed.
func joinOthers(redis, prefix string, log *zerolog.Logger) (others *hub.Backplane, leave func(), err error) {
	if redis == "" {
		return nil, func() {}, nil
	}
	client, err := redisbackplane.Connect(redis)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: -redis: %w", errUsage, err)
	}
	b, err := redisbackplane.New(client, &redisbackplane.Options{Prefix: prefix, Logger: log})
	if err != nil {
		client.Close()
		return nil, nil, fmt.Errorf("%w: -redis: %w", errUsage, err)
	}
	return b.Backplane(), func() {
		b.Close()
		client.Close()
	}, nil
}
