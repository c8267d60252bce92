package hub_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/internal/bubble"
)

// When a spoke can see that its session is resumed, the hub has its new labels and no longer counts it as detached.
func TestResumedBeforeTheAnswer(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h, err := hub.New(&hub.Options{AllowAnonymous: true})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		first := sendRegistration(t, h, &call.Identity{ID: "a"}, `{"spokeId":"s","instanceId":"i","attempt":1,"session":{}}`)
		answer, err := first.Read()
		if err != nil {
			t.Fatal(err)
		}
		_, id, _ := strings.Cut(string(answer), `"session":{"id":"`)
		id, _, _ = strings.Cut(id, `"`)
		first.Abort()
		synctest.Wait()
		near, conn := sendAnswering(t, h, fmt.Sprintf(`{"spokeId":"s","instanceId":"i","attempt":2,"labels":{"k":"new"},"session":{"id":%q,"received":0}}`, id))
		defer near.Abort()
		<-conn.wrote
		for _, s := range h.Spokes(nil) {
			if s.State != hub.SpokeConnected || s.Labels["k"] != "new" {
				t.Errorf("%+v", s)
			}
		}
		close(conn.release)
	})
}
