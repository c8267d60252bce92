package gateway_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/gateway"
)

func TestCall(t *testing.T) {
	s := open(t)
	s.join("worker/7 ä", "", func(r *call.Registry) error {
		if err := call.Handle(r, call.Operation{Name: "text.echo/x"}, echo); err != nil {
			return err
		}
		return call.Handle(r, call.Operation{Name: "text.echo"}, echo)
	})
	id := url.PathEscape("worker/7 ä")
	if !strings.Contains(id, "%2F") {
		t.Fatalf("%q has no escaped slash", id)
	}
	for _, c := range []struct{ path, body, want string }{
		{"/call/text.echo", `{"a":[1,2.50]}`, `{"a":[1,2.50]}`},
		{"/call/text.echo?timeout=20s", `"x"`, `"x"`},
		{"/call/text.echo", ``, `null`},
		{"/call/text.echo%2Fx", `1`, `1`},
		{"/call/text%2Eecho", `2`, `2`},
		{"/spokes/" + id + "/call/text.echo", `3`, `3`},
		{"/spokes/" + id + "/call/text.echo%2Fx", `4`, `4`},
	} {
		status, header, body := s.do(post(c.path, c.body))
		var env struct {
			Data json.RawMessage
			Meta struct {
				Source, OperationID string
				Timestamp           int64
			}
		}
		if err := json.Unmarshal([]byte(body), &env); err != nil {
			t.Fatalf("%s: %q: %v", c.path, body, err)
		}
		if status != http.StatusOK || string(env.Data) != c.want || env.Meta.Source != "local" || env.Meta.Timestamp == 0 ||
			!strings.HasPrefix(env.Meta.OperationID, "text.echo") || header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s", c.path, status, body)
		}
	}
	if status, _, _ := s.do(post("/call/text.echo", "1").with("Content-Type", "application/json; charset=UTF-8")); status != http.StatusOK {
		t.Errorf("with a charset: %d", status)
	}
	if status, _, body := s.do(post("/call/hub.info", "")); status != http.StatusOK || !strings.Contains(body, s.hub.ID()) {
		t.Errorf("hub.info: %d %s", status, body)
	}
}

func TestCallFailures(t *testing.T) {
	s := newSite(t, &hub.Options{AllowAnonymous: true}, &gateway.Options{MaxMessageBytes: 64})
	s.join("worker-7", "", func(r *call.Registry) error {
		if err := call.Handle(r, call.Operation{Name: "fail.own"}, func(context.Context, json.RawMessage) (int, error) {
			return 0, &call.Error{Code: "OUT_OF_STOCK", Message: "none left", Retryable: true, Details: json.RawMessage(`{"left":0}`)}
		}); err != nil {
			return err
		}
		if err := call.Handle(r, call.Operation{Name: "fail.panic"}, func(context.Context, json.RawMessage) (int, error) { panic("ow") }); err != nil {
			return err
		}
		if err := call.Handle(r, call.Operation{Name: "fail.late"}, func(ctx context.Context, _ json.RawMessage) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		}); err != nil {
			return err
		}
		return call.Handle(r, call.Operation{Name: "text.number"}, func(_ context.Context, in int) (int, error) { return in, nil })
	})
	for _, c := range []struct {
		q      request
		status int
		code   string
	}{
		{post("/call/fail.own", ""), 422, "OUT_OF_STOCK"},
		{post("/call/fail.panic", ""), 500, "EXECUTION_ERROR"},
		{post("/call/fail.late?timeout=20ms", ""), 504, "TIMEOUT"},
		{post("/call/text.number", `"x"`), 400, "VALIDATION_ERROR"},
		{post("/call/text.nothing", ""), 404, "OPERATION_NOT_FOUND"},
		{post("/spokes/worker-8/call/text.number", "1"), 404, "SPOKE_NOT_FOUND"},
		{post("/spokes/worker-7/call/text.nothing", "1"), 404, "OPERATION_NOT_FOUND"},
		{post("/call/text.number", "{"), 400, "VALIDATION_ERROR"},
		{post("/call/text.number", "1 2"), 400, "VALIDATION_ERROR"},
		{post("/call/text.number", "\"\xff\""), 400, "VALIDATION_ERROR"},
		{post("/call/text.%ff", "1"), 400, "VALIDATION_ERROR"},
		{post("/call/text.number?timeout=5", "1"), 400, "VALIDATION_ERROR"},
		{post("/call/text.number?timeout=-5s", "1"), 400, "VALIDATION_ERROR"},
		{post("/call/text.number?timeout=0s", "1"), 400, "VALIDATION_ERROR"},
		{post("/call/text.number?timeout=", "1"), 400, "VALIDATION_ERROR"},
		{post("/call/text.number?timeout=1s&timeout=2s", "1"), 400, "VALIDATION_ERROR"},
		{post("/call/text.number?timeout=%zz", "1"), 400, "VALIDATION_ERROR"},
		{post("/call/text.number", "1").with("Content-Type", "text/plain"), 415, "UNSUPPORTED_MEDIA_TYPE"},
		{post("/call/text.number", "1").with("Content-Type", ""), 415, "UNSUPPORTED_MEDIA_TYPE"},
		{post("/call/text.number", "1").with("Content-Type", "application/json; charset=latin1"), 415, "UNSUPPORTED_MEDIA_TYPE"},
		{post("/call/text.number", "1").with("Content-Encoding", "gzip"), 415, "UNSUPPORTED_MEDIA_TYPE"},
		{post("/call/text.number", strings.Repeat(" ", 65)), 413, "MESSAGE_TOO_LARGE"},
	} {
		s.wantError(c.q, c.status, c.code)
	}
	if _, _, body := s.do(post("/call/fail.own", "")); !strings.Contains(body, `"left":0`) || !strings.Contains(body, `"sent":true`) {
		t.Errorf("details: %s", body)
	}
	// A body whose length is not told is cut off at the bound too.
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/call/text.number",
		io.LimitReader(strings.NewReader(strings.Repeat(" ", 65)), 65))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a chunked body: %d", res.StatusCode)
	}
}

func TestCallIsAbortedWhenTheClientGoes(t *testing.T) {
	s := open(t)
	entered, ended := make(chan struct{}), make(chan struct{})
	s.join("worker-7", "", func(r *call.Registry) error {
		return call.Handle(r, call.Operation{Name: "text.wait"}, func(ctx context.Context, _ json.RawMessage) (int, error) {
			close(entered)
			<-ctx.Done()
			close(ended)
			return 0, ctx.Err()
		})
	})
	ctx, leave := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/call/text.wait", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	gone := make(chan error, 1)
	go func() {
		res, err := http.DefaultClient.Do(r)
		if err == nil {
			res.Body.Close()
		}
		gone <- err
	}()
	<-entered
	leave()
	if err := <-gone; err == nil {
		t.Error("the call was answered")
	}
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("the handler is still running")
	}
}

func TestCallAsIdentityWithTrace(t *testing.T) {
	s := newSite(t, tokens(), nil)
	s.join("worker-7", "worker-secret", func(r *call.Registry) error {
		if err := call.Handle(r, call.Operation{Name: "who.am"}, func(ctx context.Context, _ json.RawMessage) (map[string]any, error) {
			req := call.FromContext(ctx)
			return map[string]any{"id": req.Identity.ID, "scopes": req.Identity.Scopes, "metadata": req.Metadata}, nil
		}); err != nil {
			return err
		}
		return call.Handle(r, call.Operation{Name: "who.admin", Access: call.AccessControl{RequiredScopes: []string{"admin"}}}, echo)
	})
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for parent, want := range map[string]string{
		trace:            `{"id":"anna","metadata":{"traceparent":"` + trace + `"},"scopes":["read"]}`,
		"":               `{"id":"anna","metadata":null,"scopes":["read"]}`,
		`"}` + trace:     `{"id":"anna","metadata":null,"scopes":["read"]}`,
		trace + "-extra": `{"id":"anna","metadata":null,"scopes":["read"]}`,
	} {
		q := post("/call/who.am", "").with("Authorization", "Bearer anna-secret").with("Traceparent", parent)
		if _, _, body := s.do(q); !strings.Contains(body, want) {
			t.Errorf("%q: %s, want %s", parent, body, want)
		}
	}
	s.wantError(post("/call/who.admin", "").with("Authorization", "Bearer anna-secret"), 403, "ACCESS_DENIED")
	s.wantError(post("/spokes/worker-7/call/who.admin", "").with("Authorization", "Bearer anna-secret"), 403, "ACCESS_DENIED")
}
