package hub_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/transport"
)

// A spoke sends a registration to another hub, gives it up, and resumes its session at the first hub, which claims nothing. The
// registration arrives late: the first hub takes the record back, and the late connection is closed with 4006.
func TestRecordClaimedByALateAttemptIsTakenBack(t *testing.T) {
	for _, late := range []int{2, 4} {
		t.Run(fmt.Sprint("attempt ", late, " after 3"), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				a, b := twoHubs(t)
				who := &call.Identity{ID: "one"}
				registration := func(attempt int, session string) string {
					return fmt.Sprintf(`{"spokeId":"mover","instanceId":"i","attempt":%d,"operations":[{"name":"test.who","type":"query"}],"session":%s}`,
						attempt, session)
				}
				first, got := rawSession(t, a.Hub, who, registration(1, "{}"))
				first.Abort()
				synctest.Wait()
				second, again := rawSession(t, a.Hub, who, registration(3, fmt.Sprintf(`{"id":%q}`, got.id)))
				if again.id != got.id || again.generation != got.generation {
					t.Fatalf("resumed %+v after %+v", again, got)
				}
				third, taken := rawSession(t, b.Hub, who, registration(late, "{}"))
				synctest.Wait()

				// The holder is the connection of the highest attempt.
				keeps, loses, at := second, third, "hub-a"
				if late > 3 {
					keeps, loses, at = third, second, "hub-b"
				}
				closed := make(chan error, 1)
				go func() {
					for {
						if _, err := loses.Read(); err != nil {
							closed <- err
							return
						}
					}
				}()
				defer second.Abort()
				defer third.Abort()
				select {
				case err := <-closed:
					if ce, ok := errors.AsType[*transport.CloseError](err); !ok || ce.Code != transport.CloseSuperseded {
						t.Errorf("the connection of the lower attempt ended with %v, want 4006", err)
					}
				case <-time.After(time.Minute):
					t.Fatal("the connection of the lower attempt lives")
				}
				go answerWho(keeps)
				for _, h := range []*hub.Hub{a.Hub, b.Hub} {
					out, err := call.Invoke[string](t.Context(), h, "test.who", nil, call.To("mover"), call.Timeout(time.Second))
					if err != nil || out != "the holder" {
						t.Errorf("%q, %v", out, err)
					}
					page, err := call.Invoke[hub.Page[hub.SpokeInfo]](t.Context(), h, "hub.spokes", nil)
					if err != nil || len(page.Items) != 1 || page.Items[0].HubID != at || page.Items[0].Generation < taken.generation {
						t.Errorf("%+v, %v; the other generation is %d", page, err, taken.generation)
					}
				}
			})
		})
	}
}

// answer is what a raw spoke reads of the answer to its registration.
type answer struct {
	id         string
	generation int64
}

// rawSession is rawSpoke for a registration with a session.
func rawSession(t *testing.T, h *hub.Hub, identity *call.Identity, registration string) (transport.Conn, answer) {
	t.Helper()
	near := sendRegistration(t, h, identity, registration)
	text, err := near.Read()
	var f struct {
		Payload struct {
			Output struct {
				Data struct {
					Generation int64
					Session    struct{ ID string }
				}
			}
		}
	}
	if err != nil || json.Unmarshal(text, &f) != nil || f.Payload.Output.Data.Session.ID == "" {
		t.Fatalf("%s, %v", text, err)
	}
	return near, answer{f.Payload.Output.Data.Session.ID, f.Payload.Output.Data.Generation}
}

// answerWho answers each request on a raw connection.
func answerWho(conn transport.Conn) {
	for {
		text, err := conn.Read()
		if err != nil {
			return
		}
		var f struct {
			Payload struct{ RequestID string }
		}
		if strings.Contains(string(text), "call.requested") && json.Unmarshal(text, &f) == nil {
			_ = conn.Write([][]byte{fmt.Appendf(nil, `{"type":"call.responded","payload":{"requestId":%q,"output":"the holder"}}`, f.Payload.RequestID)})
		}
	}
}
