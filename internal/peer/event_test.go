package peer

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/internal/session"
	"github.com/alkdev/hubspoke/transport"
)

// An event that the other side does not accept fails where its program waits, and is a gap of one where none waits.
// The limits are exact, and unlimited until the other side has announced one.
func TestEventsWithinTheLimits(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var heard []string
		x, y := transport.Pipe(nil)
		var totals session.Totals
		a := newSide(t, x, config{IDPrefix: "a-"}, session.Options{Totals: &totals})
		newSide(t, y, config{IDPrefix: "b-", Event: func(topic string, payload []byte) { heard = append(heard, topic+" "+string(payload)) }}, session.Options{})
		const frame = len(`{"type":"t","payload":}`)
		for _, c := range []struct {
			maxBytes int64
			maxDepth int
			payload  string
			code     call.Code
		}{
			{0, 0, `"` + strings.Repeat("x", 100_000) + `"`, ""},
			{0, 0, strings.Repeat("[", 9000) + strings.Repeat("]", 9000), ""},
			{int64(frame) + 4, 0, `1234`, ""},
			{int64(frame) + 4, 0, `12345`, call.CodeMessageTooLarge},
			{0, 2, `[[1]]`, ""},
			{0, 2, `[[[]]]`, call.CodeValidation},
			{0, 2, `"[[["`, ""},
			{0, 2, `[[1],[1],[1]]`, ""},
		} {
			a.SetRemote(c.maxBytes, 0)
			a.SetMaxDepth(c.maxDepth)
			err := a.Publish(t.Context(), "t", []byte(c.payload))
			if c.code == "" && err != nil || c.code != "" && !errors.Is(err, c.code) {
				t.Errorf("%.20s: %v, want %q", c.payload, err, c.code)
			}
			lost := totals.EventsDropped.Load()
			ev := NewEvent("t", []byte(c.payload))
			for range 2 {
				if a.PostEvent(&ev) {
					a.Session().FlushReady()
				}
			}
			synctest.Wait()
			if c.code != "" {
				if n := totals.EventsDropped.Load() - lost; n != 2 || len(heard) != 0 {
					t.Errorf("%.20s: %d lost, heard %d", c.payload, n, len(heard))
				}
				continue
			}
			if want := "t " + c.payload; len(heard) != 3 || heard[0] != want || heard[1] != want || heard[2] != want {
				t.Errorf("%.20s: heard %d", c.payload, len(heard))
			}
			heard = nil
		}
	})
}
