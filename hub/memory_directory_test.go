package hub_test

import (
	"errors"
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

// The zero value is ready, also for what comes before the first Join.
func TestMemoryDirectoryBeforeJoin(t *testing.T) {
	for name, first := range map[string]func(*hub.MemoryDirectory) error{
		"Claim": func(d *hub.MemoryDirectory) error {
			_, err := d.Claim(t.Context(), hub.Record{SpokeID: "s", HubID: "a", IdentityID: "one"})
			return err
		},
		"Provide":  func(d *hub.MemoryDirectory) error { return d.Provide(t.Context(), "a", "x.y") },
		"Withdraw": func(d *hub.MemoryDirectory) error { return d.Withdraw(t.Context(), "a", "x.y") },
		"Release":  func(d *hub.MemoryDirectory) error { return d.Release(t.Context(), "a", "s", 1) },
		"Spoke":    func(d *hub.MemoryDirectory) error { _, _, err := d.Spoke(t.Context(), "s"); return err },
		"lists": func(d *hub.MemoryDirectory) error {
			hubs, err := d.Hubs(t.Context())
			providers, err2 := d.Providers(t.Context(), "x.y")
			if len(hubs)+len(providers) != 0 {
				t.Errorf("%v, %v", hubs, providers)
			}
			return errors.Join(err, err2)
		},
	} {
		d := &hub.MemoryDirectory{}
		if err := first(d); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		_, found, err := d.Spoke(t.Context(), "s")
		providers, err2 := d.Providers(t.Context(), "x.y")
		if found != (name == "Claim") || (len(providers) == 1) != (name == "Provide") || err != nil || err2 != nil {
			t.Errorf("%s: then found %v, %v, %v %v", name, found, providers, err, err2)
		}
	}
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
