package hub_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
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

// claimer is a spoke whose frames the test writes.
type claimer struct {
	conn transport.Conn
	got  chan string
}

func claims(t *testing.T, h *hub.Hub, id *call.Identity) *claimer {
	t.Helper()
	near := sendRegistration(t, h, id, "{}")
	c := &claimer{near, make(chan string, 100)}
	go func() {
		defer close(c.got)
		for {
			data, err := near.Read()
			if err != nil {
				return
			}
			c.got <- string(data)
		}
	}()
	t.Cleanup(near.Abort)
	<-c.got
	return c
}

func (c *claimer) say(frame string) { _ = c.conn.Write([][]byte{[]byte(frame)}) }

// serveSeen answers with what the handler is told of its caller.
func serveSeen(access call.AccessControl) func(*call.Registry) {
	return func(r *call.Registry) {
		registered(call.Handle(r, call.Operation{Name: "test.seen", Access: access}, func(ctx context.Context, _ json.RawMessage) (string, error) {
			id, req := call.IdentityFrom(ctx), call.FromContext(ctx)
			return fmt.Sprintf("%s%v%v %s", id.ID, id.Scopes, id.Resources, req.OriginID), nil
		}))
	}
}

// Who a spoke says that it is changes nothing: not what its request is allowed, nor what the handler is told.
func TestRelayBelievesNoIdentity(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		net.Spoke("w", nil, func(r *call.Registry) {
			serveSeen(call.AccessControl{})(r)
			registered(call.Handle(r, call.Operation{Name: "test.admin", Access: call.AccessControl{RequiredScopes: []string{"admin"}}}, func(context.Context, json.RawMessage) (string, error) {
				t.Error("called by one who may not")
				return "", nil
			}))
		})
		c := claims(t, net.Hub, &call.Identity{ID: "mallory", Scopes: []string{"read"}})
		const rest = `"originId":"forged","identity":{"id":"root","scopes":["admin"],"resources":{"a":["b"]}}}}`
		for i, to := range []string{"", `"to":"w",`} {
			id := fmt.Sprint("q", i)
			c.say(`{"type":"call.requested","payload":{"requestId":"` + id + `","operationId":"test.seen",` + to + rest)
			if want := `"mallory[read]map[] ` + id + `"`; !strings.Contains(<-c.got, want) {
				t.Errorf("%s was not told", want)
			}
			c.say(`{"type":"call.requested","payload":{"requestId":"` + id + `","operationId":"test.admin",` + to + rest)
			if got := <-c.got; !strings.Contains(got, `"ACCESS_DENIED"`) || !strings.Contains(got, `"sent":false`) {
				t.Errorf("%s", got)
			}
		}
	})
}

// The hook of the options is asked before a request goes on, and its refusal and its panic are answers.
func TestRelayAsksTheAuthorizer(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		asked := map[string]int{}
		net := hubtest.New(t, &hub.Options{AllowAnonymous: true, Authorize: func(a hub.Action) error {
			if a.Verb != hub.Call {
				return nil
			}
			mu.Lock()
			asked[a.Identity.ID+" "+a.Name]++
			mu.Unlock()
			switch a.Identity.ID {
			case "denied":
				return errors.New("not you")
			case "bomb":
				panic("the hook panics")
			}
			return nil
		}})
		ran := 0
		net.Spoke("w", nil, func(r *call.Registry) {
			registered(call.Handle(r, call.Operation{Name: "test.op"}, func(context.Context, json.RawMessage) (string, error) { ran++; return "ok", nil }))
		})
		for id, code := range map[string]call.Code{"fine": "", "denied": call.CodeAccessDenied, "bomb": call.CodeExecution} {
			s := net.Spoke("caller-"+id, &spoke.Options{Dialer: net.Dialer(&call.Identity{ID: id})}, nil)
			for _, o := range [][]call.Option{nil, {call.To("w")}} {
				_, err := call.Invoke[string](t.Context(), s, "test.op", nil, o...)
				if code == "" && err != nil || code != "" && !errors.Is(err, code) {
					t.Errorf("%s: %v", id, err)
				}
			}
			if asked[id+" test.op"] < 2 {
				t.Errorf("%s: asked %v", id, asked)
			}
		}
		if ran != 2 {
			t.Errorf("ran %d times, want 2", ran)
		}
	})
}

// A call's own time is that of its relay and of its handler, on one hub and across two.
func TestRelayKeepsTheTime(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		a, b := twoHubs(t)
		var mu sync.Mutex
		var left time.Duration // guarded by mu
		ended := make(chan error, 1)
		op := func(r *call.Registry) {
			registered(call.Handle(r, call.Operation{Name: "test.slow"}, func(ctx context.Context, _ json.RawMessage) (string, error) {
				d, _ := ctx.Deadline()
				mu.Lock()
				left = time.Until(d)
				mu.Unlock()
				<-ctx.Done()
				ended <- context.Cause(ctx)
				return "", ctx.Err()
			}))
		}
		near, far := a.Spoke("near", nil, op), b.Spoke("far", nil, op)
		caller := a.Spoke("caller", nil, nil)
		for _, to := range []string{"near", "far"} {
			for _, timeout := range []time.Duration{time.Millisecond, time.Second, 29 * time.Second, 0, time.Minute} {
				want := timeout
				if timeout == 0 {
					want = call.DefaultTimeout
				}
				begin := time.Now()
				_, err := call.Invoke[string](t.Context(), caller, "test.slow", nil, call.To(to), call.Timeout(timeout))
				mu.Lock()
				if took := time.Since(begin); !errors.Is(err, call.CodeTimeout) || took != want || left > want {
					t.Errorf("%s, %v: %v after %v, the handler had %v", to, timeout, err, took, left)
				}
				mu.Unlock()
				if err := <-ended; !errors.Is(err, call.CodeTimeout) && !errors.Is(err, call.CodeAborted) {
					t.Errorf("the handler's context: %v", err)
				}
			}
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			begin := time.Now()
			_, err := call.Invoke[string](ctx, caller, "test.slow", nil, call.To(to))
			if took := time.Since(begin); !errors.Is(err, call.CodeAborted) || took != time.Second {
				t.Errorf("%v after %v", err, took)
			}
			if err := <-ended; !errors.Is(err, call.CodeAborted) {
				t.Errorf("the handler's context: %v", err)
			}
		}
		synctest.Wait()
		if n := near.Stats().Serving + far.Stats().Serving; n != 0 {
			t.Errorf("%d handlers go on", n)
		}
	})
}

// refusing serves an operation that answers with an error of the framework: it has not run.
func refusing(op string, e call.Error, asked *[]string, id string) func(*call.Registry) {
	return func(r *call.Registry) {
		registered(call.Handle(r, call.Operation{Name: op}, func(context.Context, json.RawMessage) (string, error) {
			*asked = append(*asked, id)
			if e.Code == "" {
				return id, nil
			}
			return "", call.Refuse(&e)
		}))
	}
}

// After a refusal that says that it has not run the next candidate gets the request, each once, and at last the
// caller is told of one, with the truth.
func TestRelayTriesTheNext(t *testing.T) {
	for _, code := range []call.Code{call.CodeOverloaded, call.CodeUnavailable, call.CodeOperationNotFound} {
		for _, last := range []call.Code{"", code} {
			bubble.Test(t, func(t *testing.T) {
				net := hubtest.New(t, nil)
				var asked []string
				for i := range 7 { // more than the router keeps in place
					e := call.Error{Code: code, Retryable: true}
					if i == 3 {
						e.Code = last
					}
					id := fmt.Sprint("w", i)
					net.Spoke(id, nil, refusing("test.op", e, &asked, id))
				}
				caller := net.Spoke("caller", nil, nil)
				for range 20 {
					asked = nil
					who, err := call.Invoke[string](t.Context(), caller, "test.op", nil)
					once := map[string]bool{}
					for _, id := range asked {
						if once[id] {
							t.Errorf("%s was asked twice: %v", id, asked)
						}
						once[id] = true
					}
					e, _ := errors.AsType[*call.Error](err)
					if last == "" && (err != nil || who != "w3") || last != "" && (e == nil || e.Code != code || e.Sent || len(asked) != 7) {
						t.Errorf("%s, %v after %v", who, err, asked)
					}
				}
				_, err := call.Invoke[string](t.Context(), caller, "test.op", nil, call.To("w1"))
				if e, _ := errors.AsType[*call.Error](err); e == nil || e.Code != code || e.Sent {
					t.Errorf("%v", err)
				}
			})
		}
	}
}

// A refusal by a spoke here sends the call to another hub where the same refusal would have, had the program itself called.
func TestRelayGoesElsewhere(t *testing.T) {
	for _, code := range []call.Code{call.CodeOverloaded, call.CodeUnavailable, call.CodeOperationNotFound, call.CodeAccessDenied, call.CodeSpokeNotFound} {
		bubble.Test(t, func(t *testing.T) {
			a, b := twoHubs(t)
			var asked []string
			a.Spoke("here", nil, refusing("test.op", call.Error{Code: code}, &asked, "here"))
			b.Spoke("there", nil, refusing("test.op", call.Error{}, &asked, "there"))
			caller := a.Spoke("caller", nil, nil)
			want, wantErr := call.Invoke[string](t.Context(), a.Hub, "test.op", nil)
			got, err := call.Invoke[string](t.Context(), caller, "test.op", nil)
			if got != want || (err == nil) != (wantErr == nil) {
				t.Errorf("%s: %q, %v by way of a spoke; %q, %v for the hub itself", code, got, err, want, wantErr)
			}
		})
	}
}
