package redisbackplane_test

import (
	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/pubsub"
)

var (
	topic  = pubsub.NewTopic[string]("test.topic")
	toMore = call.To("more")
)
