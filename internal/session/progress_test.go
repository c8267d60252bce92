package session

import (
	"testing"
	"testing/synctest"

	"github.com/alkdev/hubspoke/internal/bubble"
)

// A session has advanced on a connection when a frame or an acknowledgement has arrived on it; where frames are sent
// again, only when the first of them has been acknowledged.
func TestProgressed(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, c := attached(t, Options{Resumable: true})
		want := func(step string, want bool) {
			t.Helper()
			if got := s.Progressed(); got != want {
				t.Errorf("%s: %v, want %v", step, got, want)
			}
		}
		resume := func(received uint64) {
			t.Helper()
			s.Detach(c)
			c = &fakeConn{}
			if err := s.Resume(c, received); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		want("attached", false)
		s.Received(1)
		want("a frame has arrived", true)
		resume(0)
		want("resumed", false)
		mustSend(t, s, "one")
		mustSend(t, s, "two")
		synctest.Wait()
		want("frames were sent", false)
		s.Received(1)
		want("a frame has arrived, and none is sent again", true)
		resume(0)
		s.Received(1)
		want("a frame has arrived, and those that are sent again have not", false)
		if err := s.Ack(1); err != nil {
			t.Fatal(err)
		}
		want("the first has been acknowledged", true)
		resume(2)
		want("the registration has acknowledged all", false)
		s.Received(1)
		want("a frame has arrived after that", true)
	})
}
