package hub_test

import (
	"context"
	"testing"
	"time"
)

// cleanupContext is for what ends after the test; it has a minute.
func cleanupContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	t.Cleanup(cancel)
	return ctx
}
