package peer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/internal/wire"
)

// What a peer may send that it should not is ignored and counted, and the session lives on.
func TestFramesForNobody(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, w := wired(t, serving(echo))
		w.send(`call.responded {"requestId":"a-1","output":1}`, `call.completed {"requestId":"a-1"}`,
			`call.error {"requestId":"a-1","code":"X"}`, `call.aborted {"requestId":"a-1"}`, `call.credit {"requestId":"a-1","credit":5}`)
		if n := s.cfg.Counters.Late.Load(); n != 5 {
			t.Errorf("%d late, want 5", n)
		}
		bad := []string{
			`call.responded null`, `call.responded {}`, `call.responded []`, `call.responded {"requestId":7}`,
			`call.responded {"requestId":""}`, `call.responded {"requestId":"1","requestId":"1"}`,
			`call.responded {"requestId":"1","output":1,"output":2}`, `call.credit {"requestId":"1"}`,
			`call.credit {"requestId":"1","credit":-1}`, `call.credit {"requestId":"1","credit":"9"}`,
			`call.credit {"requestId":"1","credit":1e400}`, `call.error {"requestId":"1","code":"A","code":"B"}`,
			`call.completed {"requestId":"` + strings.Repeat("x", wire.MaxIDBytes+1) + `"}`,
			`call.requested {"operationId":"x.y"}`, `call.requested {"requestid":"1","operationId":"x.y"}`,
		}
		w.send(bad...)
		if n := s.cfg.Counters.Malformed.Load(); n != uint64(len(bad)) {
			t.Errorf("%d malformed, want %d", n, len(bad))
		}
		w.send(`call.unheard {}`, `__unheard {}`, `some.topic {}`, `__pong null`)
		if n := s.cfg.Counters.Unknown.Load(); n != 2 {
			t.Errorf("%d unknown, want 2", n)
		}
		w.wantNothing()
		w.send(`__ping null`, `call.requested {"requestId":"1","operationId":"x.y","input":5}`)
		w.want("__pong", "")
		w.want("call.responded", `"data":5`)
	})
}

// Members that a frame's type does not define are ignored, whatever is in them.
func TestUnknownMembersOfAnswers(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, w := wired(t, config{})
		out := make(chan string, 1)
		go func() { o, err := s.Call(t.Context(), unary("x.y", "")); out <- fmt.Sprint(string(o), err) }()
		f := w.want("call.requested", "x.y")
		w.send(`call.responded {"credit":-1,"code":1,"code":2,"Output":7,"requestId":"` + id(t, f) + `","output":5}`)
		if got := <-out; got != "5<nil>" {
			t.Errorf("got %s", got)
		}
	})
}

func TestMalformedRequests(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, w := wired(t, serving(echo))
		bad := []string{
			`"operationId":null`, `"operationId":5`, `"operationId":""`, `"OPERATIONID":"x.y"`,
			`"operationId":"` + strings.Repeat("x", wire.MaxNameBytes+1) + `"`,
			`"operationId":"x.y","operationId":"x.z"`, `"operationId":"x.y","requestId":"1"`,
			`"operationId":"x.y","stream":"yes"`, `"operationId":"x.y","credit":-1`, `"operationId":"x.y","credit":[]`,
			`"operationId":"x.y","timeout":"5"`, `"operationId":"x.y","timeout":1e999`, `"operationId":"x.y","deadline":{}`,
			`"operationId":"x.y","idleTimeout":true`, `"operationId":"x.y","to":5`, `"operationId":"x.y","selector":[]`,
			`"operationId":"x.y","selector":{"a":1}`, `"operationId":"x.y","selector":{"a":"1","a":"2"}`,
			`"operationId":"x.y","metadata":[]`, `"operationId":"x.y","identity":"root"`,
			`"operationId":"x.y","identity":{"id":"a","id":"b"}`, `"operationId":"x.y","identity":{"resources":5}`,
			`"operationId":"x.y","identity":{"resources":{"a":["x"],"a":["y"]}}`,
			`"operationId":"x.y","originId":5`, `"operationId":"x.y","parentRequestId":"` + strings.Repeat("x", 129) + `"`,
			`"operationId":"x.y","input":1,"input":2`, `"operationId":"x.y","inp\u0075t":1,"input":2`,
		}
		for _, members := range bad {
			w.send(`call.requested {"requestId":"1",` + members + `}`)
			f := w.want("call.error", `"VALIDATION_ERROR"`)
			if e := parsedError(f.Payload); e.Sent || e.Retryable || id(t, f) != "1" {
				t.Errorf("%s: %s", members, f.Payload)
			}
		}
		if n := s.cfg.Counters.Malformed.Load(); n != uint64(len(bad)) || s.cfg.Counters.Served.Load() != 0 {
			t.Errorf("%d malformed, want %d", n, len(bad))
		}
		// A time that is up, or a null, is no malformed request.
		w.send(`call.requested {"requestId":"2","operationId":"x.y","timeout":null,"to":null,"identity":null,"selector":null,"credit":null,"input":null}`)
		w.want("call.responded", `"data":null`)
	})
}

func TestTimesFromOutside(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		_, w := wired(t, serving(until))
		for _, members := range []string{`"timeout":-1`, `"timeout":0`, `"timeout":-9223372036854775808`, `"deadline":-9223372036854775808`, `"deadline":0`, `"timeout":1,"deadline":9223372036854775807`} {
			w.send(`call.requested {"requestId":"1","operationId":"x.y",` + members + `}`)
			w.want("call.error", `"TIMEOUT"`)
		}
		for _, members := range []string{`"timeout":9223372036854775807`, `"deadline":9223372036854775807`, `"deadline":9007199254740991`, `"idleTimeout":9223372036854775807`} {
			w.send(`call.requested {"requestId":"1","operationId":"x.y",` + members + `}`)
			w.wantNothing()
			w.send(`call.aborted {"requestId":"1","reason":"enough"}`)
			w.want("call.error", `enough`)
		}
	})
}

func TestDuplicateRequest(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, w := wired(t, serving(until))
		w.send(`call.requested {"requestId":"1","operationId":"x.y"}`, `call.requested {"requestId":"1","operationId":"x.z"}`,
			`call.requested {"requestId":"1"}`)
		w.wantNothing()
		if n := s.cfg.Counters.Duplicates.Load(); n != 2 || s.Serving() != 1 {
			t.Errorf("%d duplicates, %d served", n, s.Serving())
		}
		w.send(`call.aborted {"requestId":"1"}`, `call.aborted {"requestId":"1"}`)
		w.want("call.error", `"ABORTED"`)
		w.wantNothing()
		w.send(`call.requested {"requestId":"1","operationId":"x.y"}`) // free again
		if s.Serving() != 1 {
			t.Error("the id is not free after its end")
		}
	})
}

func TestHugeCredit(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var sent atomic.Int64
		s, w := wired(t, serving(produce(&sent, 100)))
		w.send(`call.requested {"requestId":"1","operationId":"x.y","stream":true,"credit":0}`)
		w.wantNothing()
		w.send(`call.credit {"requestId":"1","credit":-5}`)
		w.wantNothing()
		for range 20 {
			w.send(`call.credit {"requestId":"1","credit":1099511627776}`)
		}
		for range 100 {
			w.want("call.responded", "")
		}
		w.want("call.completed", "")
		if s.Serving() != 0 {
			t.Error("still served")
		}
	})
}

// A handler's side that sends beyond the credit, twice, after the end, and for others.
func TestAnswersBeyondWhatWasAsked(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, w := wired(t, config{})
		o := open(t, s, stream("x.s", ""), 2)
		rid := id(t, w.want("call.requested", `"credit":2`))
		for i := range 4 {
			w.send(fmt.Sprintf(`call.responded {"requestId":%q,"output":%d}`, rid, i))
		}
		w.want("call.aborted", rid)
		w.wantNothing()
		wantNext(t, o, "0")
		wantNext(t, o, "1")
		_, err := o.Next(t.Context())
		wantError(t, err, call.CodeSlowConsumer, true)
		w.send(`call.aborted {"requestId":"` + rid + `"}`) // as a peer of the older kind ends it
		if n, _ := s.InFlight(); n != 0 {
			t.Error("still in flight")
		}
	})
}

func TestUnaryAnsweredTwice(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, w := wired(t, config{})
		out := make(chan string, 2)
		ask := func() {
			o, err := s.Call(t.Context(), unary("x.y", ""))
			out <- fmt.Sprint(string(o), err)
		}
		go ask()
		rid := id(t, w.want("call.requested", ""))
		answer := `call.responded {"requestId":"` + rid + `","output":1}`
		w.send(answer, answer, answer)
		w.want("call.aborted", rid) // told once
		w.wantNothing()
		go ask()
		rid = id(t, w.want("call.requested", ""))
		w.send(`call.completed {"requestId":"` + rid + `"}`) // no value: null
		if a, b := <-out, <-out; a != "1<nil>" || b != "<nil>" {
			t.Errorf("%s, %s", a, b)
		}
	})
}

// An error that says that nothing has run is not believed after a response has come.
func TestErrorAfterAResponseWasSent(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, w := wired(t, config{})
		o := open(t, s, stream("x.s", ""), 0)
		rid := id(t, w.want("call.requested", ""))
		w.send(`call.responded {"requestId":"`+rid+`","output":1}`,
			`call.error {"requestId":"`+rid+`","code":"OVERLOADED","details":{"sent":false}}`)
		wantNext(t, o, "1")
		_, err := o.Next(t.Context())
		wantError(t, err, call.CodeOverloaded, true)
	})
}

// One who asks and never reads ends its own session, and takes no more than its bound.
func TestFloodWithoutReading(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s := stalled(t, sessionOf(2000))
		var err error
		for range 1000 {
			if err = s.PostBare(wire.Pong); err != nil {
				break
			}
		}
		if err == nil || s.Session().Cause() == nil {
			t.Error("the session lives")
		}
		s.End(errors.New("its reader has ended"))
		_, err = s.Call(context.Background(), unary("x.y", ""))
		wantError(t, err, call.CodeDisconnected, false)
	})
}
