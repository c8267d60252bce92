package redisbackplane_test

import (
	"errors"
	"testing"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/internal/redistest"
	"github.com/alkdev/hubspoke/spoke"
)

// Another hub selects by the labels that a spoke has set while it is connected, also when its session has been resumed.
func TestLabelsChange(t *testing.T) {
	nodes := startNodes(t, redistest.Start(t).URL(), 2)
	zone := func(z string) map[string]string { return map[string]string{"zone": z} }
	s := nodes[1].Spoke("on-1", &spoke.Options{Labels: zone("1")}, serve("on-1"))
	who := func(z string, opts ...call.Option) error {
		_, err := call.Invoke[string](t.Context(), nodes[0].Hub, "test.who", nil, append(opts, call.Select(zone(z)))...)
		return err
	}
	if err := who("1", call.WaitForSpoke()); err != nil {
		t.Error(err)
	}
	if err := s.SetLabels(t.Context(), zone("2")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := errors.Join(who("2"), wantNotFound(who("1"))); err != nil {
			t.Error(err)
		}
		page, err := call.Invoke[hub.Page[hub.SpokeInfo]](t.Context(), nodes[0].Hub, "hub.spokes", hub.ListQuery{Selector: zone("2")})
		if err != nil || len(page.Items) != 1 || page.Items[0].HubID != "hub-1" {
			t.Errorf("%+v, %v", page, err)
		}
		if err := s.Reconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// wantNotFound returns an error unless err is OPERATION_NOT_FOUND.
func wantNotFound(err error) error {
	if errors.Is(err, call.CodeOperationNotFound) {
		return nil
	}
	return errors.Join(errors.New("want OPERATION_NOT_FOUND"), err)
}
