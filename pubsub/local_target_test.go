package pubsub_test

import (
	"testing"

	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/pubsub/pubsubtest"
)

func TestLocalIsATarget(t *testing.T) {
	pubsubtest.TestTarget(t, func(t *testing.T) (publisher, subscriber pubsub.EventTarget) {
		local := new(pubsub.Local)
		t.Cleanup(local.Close)
		return local, local
	})
}
