package callcore_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/alkdev/hubspoke/internal/callcore"
)

type registry = callcore.Registry[string, func() string]

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestRegistryChanges(t *testing.T) {
	var r registry
	changed := r.Changed()
	if r.Changed() != changed || isClosed(changed) {
		t.Error("changed without a change")
	}
	if err := r.Add("a", "of a", nil, 10); err != nil || !isClosed(changed) || r.Bytes() != 10 {
		t.Errorf("%v, %d bytes", err, r.Bytes())
	}
	changed = r.Changed()
	if err := r.Add("a", "again", nil, 1); !errors.Is(err, callcore.ErrDuplicateOperation) || isClosed(changed) {
		t.Error(err)
	}
	if r.Remove("b") || isClosed(changed) || !r.Remove("a") || !isClosed(changed) || r.Bytes() != 0 {
		t.Errorf("Remove; %d bytes", r.Bytes())
	}
}

func TestRegistryLookup(t *testing.T) {
	var r registry
	if err := r.Add("a", "of a", func() string { return "a" }, 1); err != nil {
		t.Fatal(err)
	}
	around := func(name string) func(func() string) func() string {
		return func(next func() string) func() string { return func() string { return name + next() } }
	}
	r.Use(around("1"))
	_, before, _ := r.Lookup("a")
	r.Use(around("2"), nil, around("3"))
	op, h, ok := r.Lookup("a")
	if op != "of a" || before() != "1a" || h() != "123a" || !ok {
		t.Errorf("%q, %q then %q, %v", op, before(), h(), ok)
	}
	if op, h, ok := r.Lookup("b"); op != "" || h != nil || ok {
		t.Error("found an operation that is not registered")
	}
	if err := r.Add("b", "of b", nil, 1); err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(slices.Values(r.Operations())); !slices.Equal(got, []string{"of a", "of b"}) {
		t.Errorf("%q", got)
	}
}

// What a registration holds already counts, and what is refused changes nothing.
func TestRegistryLimits(t *testing.T) {
	for name, c := range map[string]struct {
		limits callcore.Limits
		add    string
		bytes  int
		want   error
		text   string
	}{
		"none":                 {callcore.Limits{}, "hub.x", 1 << 20, nil, ""},
		"the last":             {callcore.Limits{Operations: 2}, "x", 1, nil, ""},
		"one over":             {callcore.Limits{Operations: 1}, "x", 1, callcore.ErrRegistryFull, "limit of 1 (hub.Options.MaxOperations)"},
		"the last byte":        {callcore.Limits{Bytes: 30}, "x", 20, nil, ""},
		"one byte over":        {callcore.Limits{Bytes: 30}, "x", 21, callcore.ErrRegistryFull, "31 bytes; the limit is 30 (hub.Options.MaxRegistrationBytes"},
		"not reserved":         {callcore.Limits{Reserved: "hub."}, "hubs.x", 1, nil, ""},
		"reserved":             {callcore.Limits{Reserved: "hub."}, "hub.x", 1, callcore.ErrInvalidOperation, "begin with hub."},
		"a name that is taken": {callcore.Limits{Operations: 1}, "a", 1, callcore.ErrDuplicateOperation, `"a"`},
	} {
		var r registry
		if err := r.Add("a", "of a", nil, 10); err != nil {
			t.Fatal(err)
		}
		r.SetLimits(c.limits)
		changed := r.Changed()
		err := r.Add(c.add, "of "+c.add, nil, c.bytes)
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) || err != nil && !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", name, err)
		}
		if isClosed(changed) != (err == nil) || (r.Bytes() == 10) != (err != nil) {
			t.Errorf("%s: changed %v, %d bytes", name, isClosed(changed), r.Bytes())
		}
	}
}
