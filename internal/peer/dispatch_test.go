package peer

import (
	"errors"
	"fmt"
	"testing"

	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/transport"
)

func TestEventsAndControl(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var got []string
		cfg := config{
			Event: func(topic string, payload []byte) {
				got = append(got, fmt.Sprint("event ", topic, " ", string(payload)))
			},
			Control: func(m *wire.Message) bool {
				got = append(got, fmt.Sprint("control ", m.Type))
				return m.Type == wire.Subscribe
			},
		}
		s, w := wired(t, cfg)
		w.send(`a.topic {"x":1}`, `__subscribe {"topic":"a"}`, `__gap {"topic":"a"}`, `__gap {}`, `__other null`, `hub.topic null`, `__ping null`)
		w.want("__pong", "")
		want := []string{`event a.topic {"x":1}`, "control __subscribe", "control __gap", "event hub.topic "}
		if fmt.Sprint(got) != fmt.Sprint(want) || s.cfg.Counters.Unknown.Load() != 2 || s.cfg.Counters.Malformed.Load() != 1 || s.cfg.Counters.Frames.Load() != 7 {
			t.Errorf("%q, %d unknown", got, s.cfg.Counters.Unknown.Load())
		}
	})
}

// What is not a frame closes the connection with 1007.
func TestNotAFrame(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		x, y := transport.Pipe(nil)
		newSide(t, x, config{}, sessionOf(0))
		if err := y.Write([][]byte{[]byte(`{"type":`)}); err != nil {
			t.Fatal(err)
		}
		_, err := y.Read()
		if ce, ok := errors.AsType[*transport.CloseError](err); !ok || ce.Code != transport.CloseInvalidFrame {
			t.Errorf("%v", err)
		}
	})
}

// The ids of requests: 128 bytes at most, escapes and all, and answers name them as they came.
func TestRequestIDs(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, w := wired(t, serving(echo))
		long := fmt.Sprintf("%0128d", 7)
		for _, c := range []struct{ sent, want string }{
			{`"` + long + `"`, long}, {`"\u0041\n\"\u00e9"`, "A\n\"é"}, {`" "`, " "}, {`"\ud83d\ude00"`, "😀"},
		} {
			w.send(`call.requested {"operationId":"x.y","requestId":` + c.sent + `}`)
			if got := id(t, w.want("call.responded", "")); got != c.want {
				t.Errorf("%q answered as %q", c.sent, got)
			}
		}
		w.send(`call.requested {"operationId":"x.y","requestId":"`+long+`0"}`, `call.requested {"operationId":"x.y","requestId":""}`)
		w.wantNothing()
		if n := s.cfg.Counters.Malformed.Load(); n != 2 {
			t.Errorf("%d malformed", n)
		}
	})
}
