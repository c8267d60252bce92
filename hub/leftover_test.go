package hub

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/transport"
)

// registrant is a spoke that the test writes for.
type registrant struct {
	conn transport.Conn
	got  chan string
}

func registers(t *testing.T, h *Hub, identity, input string) *registrant {
	t.Helper()
	near, far := transport.Pipe(nil)
	go h.Accept(far, &call.Identity{ID: identity})
	r := &registrant{near, make(chan string, 100)}
	go func() {
		for {
			data, err := near.Read()
			if err != nil {
				return
			}
			r.got <- string(data)
		}
	}()
	t.Cleanup(near.Abort)
	if got := r.call("r", "hub.register", input); !strings.Contains(got, `"call.responded"`) {
		t.Fatalf("not registered: %s", got)
	}
	return r
}

func (r *registrant) send(id, operation, input string) {
	_ = r.conn.Write([][]byte{fmt.Appendf(nil,
		`{"type":"call.requested","payload":{"requestId":%q,"operationId":%q,"input":%s}}`, id, operation, input)})
}

// call returns the answer.
func (r *registrant) call(id, operation, input string) string {
	r.send(id, operation, input)
	return <-r.got
}

// A handler of the hub's own that still runs when its caller's session has ended counts for the next session of that
// spoke, not for another one, until it returns.
func TestHubsHandlersOutliveTheirSession(t *testing.T) {
	for name, register := range map[string]string{"with instances": `{"spokeId":"w","instanceId":"i%d","attempt":1}`,
		"with sessions": `{"spokeId":"w","instanceId":"i%d","attempt":1,"session":{}}`, "without instances": `{"spokeId":"w","version":"%d"}`} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				h, err := New(&Options{AllowAnonymous: true, MaxInFlight: 1})
				if err != nil {
					t.Fatal(err)
				}
				defer h.Close()
				release := make(chan struct{})
				if err := call.Handle(h.Operations(), call.Operation{Name: "test.deaf"}, func(context.Context, any) (int, error) {
					<-release
					return 1, nil
				}); err != nil {
					t.Fatal(err)
				}
				r := registers(t, h, "id", fmt.Sprintf(register, 1))
				r.send("1", "test.deaf", "null")
				synctest.Wait()
				for i := range 3 {
					r = registers(t, h, "id", fmt.Sprintf(register, i+2))
					if got := r.call("2", "hub.info", "{}"); !strings.Contains(got, `"OVERLOADED"`) {
						t.Errorf("session %d: a second handler ran: %s", i+2, got)
					}
				}
				r.conn.Abort()
				synctest.Wait()
				r = registers(t, h, "id", fmt.Sprintf(register, 5))
				if got := r.call("2", "hub.info", "{}"); !strings.Contains(got, `"OVERLOADED"`) {
					t.Errorf("after a time without a connection: a second handler ran: %s", got)
				}
				other := registers(t, h, "id", `{"spokeId":"other"}`)
				if got := other.call("3", "hub.info", "{}"); !strings.Contains(got, `"call.responded"`) {
					t.Errorf("another spoke: %s", got)
				}
				close(release)
				synctest.Wait()
				if got := r.call("4", "hub.info", "{}"); !strings.Contains(got, `"call.responded"`) {
					t.Errorf("after the handler returned: %s", got)
				}
				r.conn.Abort()
				other.conn.Abort()
				if err := h.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
				if n := len(h.leftovers.spokes); n != 0 {
					t.Errorf("%d spokes are left", n)
				}
			})
		})
	}
}
