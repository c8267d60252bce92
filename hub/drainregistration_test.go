package hub_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/transport"
)

// answering is a connection to whose other side nothing is written after the first message until release is closed.
type answering struct {
	transport.Conn
	wrote   chan struct{} // closed when the first message is written
	release chan struct{}
	first   bool
}

func (c *answering) Write(batch [][]byte) error {
	err := c.Conn.Write(batch)
	if !c.first {
		c.first = true
		close(c.wrote)
		<-c.release
	}
	return err
}

func (c *answering) TryWrite([][]byte) bool { return false }

// sendAnswering sends a registration of the identity "a", whose answer the hub is writing until conn is released.
func sendAnswering(t *testing.T, h *hub.Hub, registration string) (near transport.Conn, conn *answering) {
	t.Helper()
	near, far := transport.Pipe(nil)
	conn = &answering{Conn: far, wrote: make(chan struct{}), release: make(chan struct{})}
	go h.Accept(conn, &call.Identity{ID: "a"}) // ends with h
	writeRegistration(t, near, registration)
	return near, conn
}

// A spoke whose registration is being answered when Shutdown begins receives __drain before the close, so that it does not
// offer its session.
func TestDrainWhileARegistrationIsAnswered(t *testing.T) {
	for _, session := range []string{"", `,"session":{}`} {
		bubble.Test(t, func(t *testing.T) {
			h, err := hub.New(&hub.Options{AllowAnonymous: true})
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close()
			near, conn := sendAnswering(t, h, fmt.Sprintf(`{"spokeId":"s","instanceId":"i","attempt":1%s}`, session))
			defer near.Abort()
			if answer, err := near.Read(); err != nil || !strings.Contains(string(answer), "call.responded") {
				t.Fatalf("%s, %v", answer, err)
			}
			<-conn.wrote
			over := make(chan error, 1)
			go func() { over <- h.Shutdown(t.Context()) }()
			synctest.Wait()
			close(conn.release)
			frame, err := near.Read()
			if err != nil || !strings.Contains(string(frame), "__drain") {
				t.Errorf("before the close: %s, %v", frame, err)
			}
			if _, end := readToEnd(near); !strings.HasPrefix(end, "1012") {
				t.Errorf("closed with %s", end)
			}
			if err := <-over; err != nil {
				t.Error(err)
			}
		})
	}
}
