package redisbackplane_test

import "github.com/alkdev/hubspoke/pubsub"

var topic = pubsub.NewTopic[string]("test.topic")
