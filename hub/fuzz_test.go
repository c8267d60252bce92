package hub_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/transport"
)

// What FuzzHub varies besides the frames.
const (
	fuzzSession = 1 << iota
	fuzzScopes
	fuzzCloseSlow
	fuzzModes
)

// fuzzLines are conversations for the fuzzer to begin with. <call> stands for the
// id of the last request that the hub has sent.
var fuzzLines = []string{
	`{"type":"__ping"}` + "\n" + `{"type":"__pong"}` + "\n" + `{"type":"__drain"}` + "\n" + `{"type":"__ack","payload":{"received":1}}`,
	`{"type":"__subscribe","payload":{"topic":"t"}}` + "\n" + `{"type":"t","payload":{"a":[1]}}` + "\n" + `{"type":"__unsubscribe","payload":{"topic":"t"}}`,
	`{"type":"__subscribe","payload":{"topic":"hub.spoke.connected"}}` + "\n" + `{"type":"__subscribe","payload":{"topic":"hub.spoke.disconnected:b"}}`,
	`{"type":"call.responded","payload":{"requestId":"<call>","output":{"data":1,"meta":{"source":"local"}}}}` + "\n" + `{"type":"call.completed","payload":{"requestId":"<call>"}}`,
	`{"type":"call.error","payload":{"requestId":"<call>","code":"lower","message":"m","retryable":true,"details":{"sent":false}}}`,
	`{"type":"call.requested","payload":{"requestId":"1","operationId":"b.echo","input":{"x":1},"timeout":1000,"identity":{"id":"root"},"metadata":{"a":1}}}`,
	`{"type":"call.requested","payload":{"requestId":"1","operationId":"b.count","stream":true,"credit":2}}` + "\n" + `{"type":"call.credit","payload":{"requestId":"1","credit":3}}` + "\n" + `{"type":"call.aborted","payload":{"requestId":"1","reason":"r"}}`,
	`{"type":"call.requested","payload":{"requestId":"1","operationId":"fuzz.op"}}` + "\n" + `{"type":"call.requested","payload":{"requestId":"1","operationId":"hub.info"}}`,
	`{"type":"call.requested","payload":{"requestId":"1","operationId":"hub.gather","input":{"operationId":"b.echo","input":1,"timeout":100}}}`,
	`{"type":"call.requested","payload":{"requestId":"1","operationId":"hub.publish","input":{"topic":"t","payload":1}}}` + "\n" + `{"type":"call.requested","payload":{"requestId":"2","operationId":"hub.spokes"}}`,
	`{"type":"call.requested","payload":{"requestId":"1","operationId":"hub.register","input":{"operations":[{"name":"fuzz.op"},{"name":"x.y","type":"subscription"}],"labels":{"a":"b"}}}}`,
	`{"type":"call.requested","payload":{"requestId":"1","operationId":"b.echo","to":"b","selector":{"a":"b"}}}` + "\n" + `{"type":"call.requested","payload":{"requestId":"1","requestId":"2"}}`,
	`{"type":"__ack","payload":{"received":99}}`, `[]`, `{"type":"hub.spoke.connected","payload":{}}`, `{"type":"call.unheard"}`,
}

// FuzzHub feeds frames to a registered connection. The hub must neither panic nor
// leave anything behind, and what it sends must be what the protocol allows.
func FuzzHub(f *testing.F) {
	for _, lines := range fuzzLines {
		for mode := range fuzzModes {
			f.Add(byte(mode), lines)
		}
	}
	f.Fuzz(func(t *testing.T, mode byte, lines string) {
		if len(lines) > 64<<10 {
			return
		}
		bubble.Test(t, func(t *testing.T) { fuzzHub(t, mode, strings.SplitN(lines, "\n", 64)) })
	})
}

func fuzzHub(t *testing.T, mode byte, lines []string) {
	o := &hub.Options{ID: "hub", CloseSlowReaders: mode&fuzzCloseSlow != 0, MaxMessageBytes: 4 << 10, LogBytes: 64 << 10}
	if mode&fuzzScopes != 0 {
		o.Authorize = hub.AuthorizeScopes()
	}
	net := hubtest.New(t, o)
	everything := []string{"hold:*", "serve:*", "call:*", "publish:*", "subscribe:*", "list:*"}
	fuzzNeighbour(t, net, &call.Identity{ID: "b", Scopes: everything})
	inner, hubs := transport.Pipe(&transport.PipeOptions{MaxMessageBytes: 4 << 10})
	v := newVerifier(t, mode&fuzzSession != 0)
	accepted := make(chan bool, 1)
	go func() {
		accepted <- net.Hub.Accept(hubs, &call.Identity{ID: "a", Scopes: []string{"hold:*", "serve:fuzz.*", "call:*", "publish:t", "subscribe:*"}})
	}()
	session := ""
	if mode&fuzzSession != 0 {
		session = `"instanceId":"i","attempt":1,"session":{"id":"s"},`
	}
	v.write(inner, `{"type":"call.requested","payload":{"requestId":"reg","operationId":"hub.register","input":{"spokeId":"a",`+session+`"operations":[{"name":"fuzz.op"}]}}}`)
	if !<-accepted {
		t.Fatal("not registered")
	}
	var wg sync.WaitGroup
	wg.Go(func() { v.read(inner) })
	for range 2 { // what the connection may answer
		wg.Go(func() { _, _ = call.Invoke[any](t.Context(), net.Hub, "fuzz.op", 1, call.Timeout(5*time.Second)) })
		wg.Go(func() {
			for range call.Stream[any](t.Context(), net.Hub, "fuzz.op", 1, call.Timeout(5*time.Second), call.Credit(2)) {
				continue
			}
		})
	}
	synctest.Wait()
	for _, line := range lines {
		if !v.write(inner, line) {
			break
		}
		synctest.Wait()
	}
	_ = net.Hub.Events().Dispatch(t.Context(), pubsub.Event{Topic: "t"})
	later(2 * time.Minute)
	v.mu.Lock()
	if !v.over && len(v.owed) > 0 {
		t.Errorf("no answer to %v", v.owed)
	}
	v.mu.Unlock()
	inner.Abort()
	wg.Wait()
	later(time.Minute) // the window of a session
	if s := net.Hub.Stats(); s.Spokes != 1 || s.Connections != 1 || s.Waiting != 0 || s.InFlight != 0 || s.Serving != 0 || s.Topics != 0 || s.QueuedBytes != 0 {
		t.Errorf("left: %+v", s)
	}
}

// fuzzNeighbour is a spoke that does what it should.
func fuzzNeighbour(t *testing.T, net *hubtest.Network, id *call.Identity) {
	inner := net.Dialer(id)
	net.Spoke("b", spokeOptions(inner), func(r *call.Registry) {
		registered(call.Handle(r, call.Operation{Name: "b.echo"}, func(_ context.Context, in any) (any, error) { return in, nil }))
		registered(call.HandleStream(r, call.Operation{Name: "b.count"}, func(ctx context.Context, _ any, send func(int) error) error {
			for i := range 10 {
				if err := send(i); err != nil {
					return err
				}
			}
			return ctx.Err()
		}))
	})
}

// write sends a line; it is false when the connection has ended.
func (v *verifier) write(c transport.Conn, line string) bool {
	v.mu.Lock()
	line = strings.ReplaceAll(line, "<call>", v.last)
	v.sends([]byte(line))
	v.mu.Unlock()
	return c.Write([][]byte{[]byte(line)}) == nil
}

// read verifies what comes, to the end.
func (v *verifier) read(c transport.Conn) {
	for {
		data, err := c.Read()
		if err != nil {
			if ce, ok := errors.AsType[*transport.CloseError](err); ok && ce.Remote && !closes[ce.Code] {
				v.t.Errorf("the hub closes with %d", ce.Code)
			}
			v.mu.Lock()
			v.over = true
			v.mu.Unlock()
			return
		}
		v.mu.Lock()
		v.receives(data)
		v.mu.Unlock()
	}
}
