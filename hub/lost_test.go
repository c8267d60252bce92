package hub_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/spoke"
	"github.com/alkdev/hubspoke/transport"
)

type brokenWrites struct{ transport.Conn }

func (brokenWrites) Write([][]byte) error   { return errors.New("broken") }
func (brokenWrites) TryWrite([][]byte) bool { return false }

// A resumption whose answer cannot be written leaves nothing in the directory
// when the session ends.
func TestFailedResumptionLeavesNoRecord(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		bp := hub.NewMemoryBackplane()
		h, err := hub.New(&hub.Options{AllowAnonymous: true, Backplane: bp, SessionWindow: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		register := func(attempt int, offer string, wrap func(transport.Conn) transport.Conn) transport.Conn {
			near, far := transport.Pipe(nil)
			go h.Accept(wrap(far), &call.Identity{ID: "one"})
			_ = near.Write([][]byte{fmt.Appendf(nil, `{"type":"call.requested","payload":{"requestId":"r","operationId":"hub.register",`+
				`"input":{"spokeId":"w","instanceId":"i","attempt":%d,"session":{%s}}}}`, attempt, offer)})
			return near
		}
		first := register(1, "", func(c transport.Conn) transport.Conn { return c })
		answer, err := first.Read()
		if err != nil {
			t.Fatal(err)
		}
		id := regexp.MustCompile(`"session":{("id":"[^"]*")`).FindSubmatch(answer)
		if id == nil {
			t.Fatalf("no session in %s", answer)
		}
		first.Abort()
		synctest.Wait()
		second := register(2, string(id[1])+`,"received":0`, func(c transport.Conn) transport.Conn { return brokenWrites{c} })
		synctest.Wait()
		second.Abort()
		later(10 * time.Second) // long after the window
		if n := len(h.Spokes(nil)); n != 0 {
			t.Errorf("%d spokes are still there", n)
		}
		if rec, ok, _ := bp.Directory.Spoke(context.Background(), "w"); ok {
			t.Errorf("the directory still has %+v", rec)
		}
	})
}

// What a call has waited for a spoke to come back is not given to it again.
func TestWaitingForALostSpokeCountsAsTime(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, &hub.Options{AllowAnonymous: true, SessionWindow: time.Minute})
		w := net.Spoke("w", &spoke.Options{BackoffMax: time.Second}, serveWho("w"))
		w.Wire.Refuse(errors.New("no route"))
		w.Wire.Cut()
		synctest.Wait()
		time.AfterFunc(25*time.Second, func() { w.Wire.Refuse(nil) })
		start := time.Now()
		_, err := call.Invoke[string](t.Context(), net.Hub, "test.wait", nil)
		if took := time.Since(start); !errors.Is(err, call.CodeTimeout) || took > 31*time.Second {
			t.Errorf("%v after %v; the default is 30 s", err, took)
		}
	})
}

// A spoke whose session waits serves its operations still.
func TestGatherAsksALostSpoke(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		net.Spoke("up", nil, serveWho("up"))
		w := net.Spoke("lost", nil, serveWho("lost"))
		w.Wire.Refuse(errors.New("no route"))
		w.Wire.Cut()
		synctest.Wait()
		time.AfterFunc(time.Second, func() { w.Wire.Refuse(nil) })
		got := 0
		for r, err := range call.Gather[string](t.Context(), net.Hub, "test.who", nil) {
			if err != nil || r.Err != nil {
				t.Error(err, r.Err)
			}
			got++
		}
		if got != 2 {
			t.Errorf("%d answers", got)
		}
	})
}
