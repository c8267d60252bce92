package hub_test

import (
	"errors"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/spoke"
)

// Another hub selects by the labels that a spoke has set while it is connected, and lists them; a call that waits for
// such a spoke gets it.
func TestLabelsChangeAcrossHubs(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		a, b := twoHubs(t)
		zone := func(z string) map[string]string { return map[string]string{"zone": z} }
		s := b.Spoke("on-b", &spoke.Options{Labels: zone("1")}, serveWho("on-b"))
		who := func(z string, opts ...call.Option) error {
			_, err := call.Invoke[string](t.Context(), a.Hub, "test.who", nil, append(opts, call.Select(zone(z)))...)
			return err
		}
		if err := who("1"); err != nil {
			t.Error(err)
		}
		waited := make(chan error, 1)
		go func() { waited <- who("2", call.WaitForSpoke()) }()
		<-time.After(time.Second)
		if err := s.SetLabels(t.Context(), zone("2")); err != nil {
			t.Fatal(err)
		}
		if err := <-waited; err != nil {
			t.Error(err)
		}
		if err := who("1"); !errors.Is(err, call.CodeOperationNotFound) {
			t.Error(err)
		}
		page, err := call.Invoke[hub.Page[hub.SpokeInfo]](t.Context(), a.Hub, "hub.spokes", hub.ListQuery{Selector: zone("2")})
		if err != nil || len(page.Items) != 1 || page.Items[0].Labels["zone"] != "2" {
			t.Errorf("%+v, %v", page, err)
		}
	})
}
