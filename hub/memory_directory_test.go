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

// A claim is reported to the hub that it takes the spoke from, if that has joined, and to no other.
func TestMemoryDirectoryReportsToTheLoser(t *testing.T) {
	var d hub.MemoryDirectory
	lost := make(chan hub.Record, 10)
	leave, err := d.Join(t.Context(), "hub-a", func(newer hub.Record) { lost <- newer })
	must(t, err)
	for _, hubID := range []string{"never-joined", "hub-a", "hub-a", "hub-b"} {
		_, err := d.Claim(t.Context(), hub.Record{SpokeID: "s", HubID: hubID, IdentityID: "one"})
		must(t, err)
	}
	leave(t.Context()) // returns when lost is not called any more
	if newer := <-lost; newer.HubID != "hub-b" || len(lost) != 0 {
		t.Errorf("hub-a lost the spoke to %+v, and %d times more", newer, len(lost))
	}
}
