package hub_test

import (
	"testing"

	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/directorytest"
)

func TestMemoryDirectory(t *testing.T) {
	directorytest.Test(t, func(*testing.T) directorytest.Directories {
		d := &hub.MemoryDirectory{}
		return directorytest.Directories{New: func(*testing.T) hub.Directory { return d }}
	})
}
