package redisbackplane_test

import (
	"testing"
	"time"

	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/directorytest"
	"github.com/alkdev/hubspoke/hub/redisbackplane"
	"github.com/alkdev/hubspoke/internal/redistest"
)

// join makes a backplane with a client of its own, as another process has it.
func join(t testing.TB, url string, o *redisbackplane.Options) *redisbackplane.Backplane {
	t.Helper()
	client, err := redisbackplane.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	bp, err := redisbackplane.New(client, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(bp.Close)
	return bp
}

func TestDirectory(t *testing.T) {
	server := redistest.Start(t)
	directorytest.Test(t, func(t *testing.T) directorytest.Directories {
		server.Do("FLUSHALL")
		return directorytest.Directories{New: func(t *testing.T) hub.Directory {
			return join(t, server.URL(), &redisbackplane.Options{Lease: time.Second}).Backplane().Directory
		}}
	})
}
