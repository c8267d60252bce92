package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/gateway"
)

func streams(r *call.Registry) error {
	if err := call.HandleStream(r, call.Operation{Name: "test.count"}, func(_ context.Context, n int, send func(int) error) error {
		for i := range n {
			if err := send(i); err != nil {
				return err
			}
		}
		if n == 3 {
			return &call.Error{Code: "TIRED", Message: "no more", Retryable: true}
		}
		return nil
	}); err != nil {
		return err
	}
	if err := call.HandleStream(r, call.Operation{Name: "test.multiline"}, func(_ context.Context, _ any, send func(json.RawMessage) error) error {
		return send(json.RawMessage("{\n\"a\":\r\n1}"))
	}); err != nil {
		return err
	}
	return call.Handle(r, call.Operation{Name: "text.echo"}, echo)
}

// A stream that is called over HTTP yields every value, as server-sent events where the client asks for them, else as
// lines of JSON; on one hub and from another.
func TestCallOfAStream(t *testing.T) {
	bp := hub.NewMemoryBackplane()
	here := newSite(t, &hub.Options{AllowAnonymous: true, Backplane: bp}, nil)
	there := newSite(t, &hub.Options{AllowAnonymous: true, Backplane: bp}, nil)
	here.join("w", "", streams)
	within(t, "the other hub sees the spoke", func() bool {
		status, _, _ := there.do(post("/spokes/w/call/text.echo", "1"))
		return status == 200
	})
	const lines, events = "application/x-ndjson", "text/event-stream"
	for name, s := range map[string]*site{"the spoke's hub": here, "another hub": there} {
		for _, c := range []struct {
			path, body, accept, contentType string
			want                            []string
		}{
			{"/call/test.count", "2", "*/*", lines, []string{`{"data":0,`, `{"data":1,`}},
			{"/call/test.count", "2", "", lines, []string{`{"data":0,`, `{"data":1,`}},
			{"/call/test.count", "1", "application/json", lines, []string{`{"data":0,`}},
			{"/call/test.count", "0", "*/*", lines, nil},
			{"/spokes/w/call/test.count", "2", "*/*", lines, []string{`{"data":0,`, `{"data":1,`}},
			{"/call/test.count", "3", "*/*", lines, []string{`{"data":0,`, `{"data":1,`, `{"data":2,`, `{"error":{"code":"TIRED","message":"no more","retryable":true,"details":{"sent":true}}}`}},
			{"/call/test.multiline", "", "*/*", lines, []string{`{"data":{"a":1},`}},
			{"/call/test.count", "1", events, events, []string{`data: {"data":0,`, ``, `event: end`, `data: {}`, ``}},
			{"/call/test.count", "0", "text/html, Text/Event-Stream;q=0.5", events, []string{`event: end`, `data: {}`, ``}},
			{"/call/test.count", "1", "text/event-stream;q=0, */*", lines, []string{`{"data":0,`}},
			{"/call/test.count", "3", events, events, []string{`data: {"data":0,`, ``, `data: {"data":1,`, ``, `data: {"data":2,`, ``,
				`event: error`, `data: {"code":"TIRED",`, ``}},
			{"/call/test.multiline", "", events, events, []string{`data: {"data":{"a":1},`, ``, `event: end`, `data: {}`, ``}},
			{"/call/text.echo", "7", events, "application/json", []string{`{"data":7,`}},
			{"/call/hub.gather", `{"operationId":"text.echo","input":5}`, "*/*", lines, []string{`{"data":{"spokeId":"w","output":{"data":5,`}},
		} {
			q := post(c.path, c.body)
			if c.accept != "" {
				q = q.with("Accept", c.accept)
			}
			status, header, body := s.do(q)
			got := strings.Split(strings.TrimSuffix(body, "\n"), "\n")
			if body == "" {
				got = nil
			}
			ok := status == http.StatusOK && header.Get("Content-Type") == c.contentType && len(got) == len(c.want)
			for i := range min(len(got), len(c.want)) {
				ok = ok && strings.HasPrefix(got[i], c.want[i])
			}
			if !ok {
				t.Errorf("%s: %s %s, Accept %q: %d %s\n%s\nwant %s %q", name, c.path, c.body, c.accept, status, header.Get("Content-Type"), body, c.contentType, c.want)
			}
		}
		// What fails before the first value has the status of its error.
		s.wantError(post("/call/test.count", `"x"`).with("Accept", events), 400, "VALIDATION_ERROR")
		s.wantError(post("/call/test.count", `"x"`), 400, "VALIDATION_ERROR")
	}
}

// Values arrive as the handler sends them, the header before the first value, and a client that goes ends the handler.
func TestStreamFlows(t *testing.T) {
	s := newSite(t, &hub.Options{AllowAnonymous: true}, &gateway.Options{KeepAlive: 5 * time.Millisecond})
	next, ended := make(chan struct{}), make(chan struct{})
	s.join("w", "", func(r *call.Registry) error {
		return call.HandleStream(r, call.Operation{Name: "test.ticks"}, func(ctx context.Context, _ any, send func(int) error) error {
			defer close(ended)
			for i := 0; ; i++ {
				select {
				case <-next:
				case <-ctx.Done():
					return ctx.Err()
				}
				if err := send(i); err != nil {
					return err
				}
			}
		})
	})
	ctx, leave := context.WithCancel(t.Context())
	res := s.start(ctx, post("/call/test.ticks", "").with("Accept", "text/event-stream")) //nolint:bodyclose // start closes it with the test
	lines := bufio.NewReader(res.Body)
	wantLines(t, lines, ": keep-alive", "", ": keep-alive", "")
	next <- struct{}{}
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(line, "data: ") {
			if !strings.HasPrefix(line, `data: {"data":0,`) {
				t.Errorf("%q", line)
			}
			break
		}
	}
	leave()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("the handler continues")
	}
	_, _ = io.Copy(io.Discard, res.Body)
}

// Statistics are for identities with the scope hub.observe, also where there is no authorizer.
func TestStatsNeedAScope(t *testing.T) {
	who := call.Identity{ID: "tenant", Scopes: []string{"call:*", "list:*", "hub.observe:x", "hub.*"}}
	operator := call.Identity{ID: "operator", Scopes: []string{"hub.observe"}}
	for name, authorize := range map[string]hub.Authorizer{"no authorizer": nil, "scopes": hub.AuthorizeScopes()} {
		s := newSite(t, &hub.Options{Authorize: authorize, Authenticate: hub.BearerTokens([]hub.Token{
			{Secret: "tenant-secret", Identity: who}, {Secret: "operator-secret", Identity: operator},
		})}, nil)
		s.wantError(get("/stats").with("Authorization", "Bearer tenant-secret"), 403, "ACCESS_DENIED")
		var stats hub.Stats
		status, _, body := s.do(get("/stats").with("Authorization", "Bearer operator-secret"))
		if json.Unmarshal([]byte(body), &stats) != nil || status != 200 || stats.HubID != s.hub.ID() {
			t.Errorf("%s: %d %s", name, status, body)
		}
		if status, _, _ := s.do(get("/spokes").with("Authorization", "Bearer tenant-secret")); status != 200 {
			t.Errorf("%s: the list: %d", name, status)
		}
	}
	open(t).wantError(get("/stats"), 403, "ACCESS_DENIED")
}
