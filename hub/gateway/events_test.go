package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/gateway"
	"github.com/alkdev/hubspoke/pubsub"
)

// core counts who listens, and refuses to publish when told to.
type core struct {
	pubsub.Local

	mu        sync.Mutex
	failure   error
	listeners int
	changed   chan struct{}
}

func (c *core) Dispatch(ctx context.Context, ev pubsub.Event) error {
	c.mu.Lock()
	err := c.failure
	c.mu.Unlock()
	if err != nil {
		return err
	}
	return c.Local.Dispatch(ctx, ev)
}

func (c *core) Listen(ctx context.Context, topic string, fn func(pubsub.Event)) (func(), error) {
	stop, err := c.Local.Listen(ctx, topic, fn)
	if err != nil {
		return nil, err
	}
	c.add(1)
	var once sync.Once
	return func() { once.Do(func() { stop(); c.add(-1) }) }, nil
}

func (c *core) add(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listeners += n
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

// nobody waits until nobody listens.
func (c *core) nobody(t *testing.T) {
	t.Helper()
	for {
		c.mu.Lock()
		n := c.listeners
		if c.changed == nil {
			c.changed = make(chan struct{})
		}
		changed := c.changed
		c.mu.Unlock()
		if n == 0 {
			return
		}
		select {
		case <-changed:
		case <-time.After(10 * time.Second):
			t.Fatalf("%d still listen", n)
		}
	}
}

func withCore(t *testing.T, o *gateway.Options) (*site, *core) {
	c := &core{}
	return newSite(t, &hub.Options{AllowAnonymous: true, Backplane: &hub.Backplane{Events: c}}, o), c
}

// listen opens an event stream and gives its lines; it is live when listen returns.
func (s *site) listen(ctx context.Context, path string) *bufio.Reader {
	s.t.Helper()
	res := s.start(ctx, get(path)) //nolint:bodyclose // start closes it with the test
	if ct := res.Header.Get("Content-Type"); res.StatusCode != http.StatusOK || ct != "text/event-stream" {
		s.t.Fatalf("%s: %d %q", path, res.StatusCode, ct)
	}
	lines := bufio.NewReader(res.Body)
	wantLines(s.t, lines, ": live", "")
	return lines
}

func wantLines(t *testing.T, lines *bufio.Reader, want ...string) {
	t.Helper()
	for _, w := range want {
		if got, err := lines.ReadString('\n'); err != nil || got != w+"\n" {
			t.Fatalf("read %q, %v, want %q", got, err, w)
		}
	}
}

func TestPublishAndEvents(t *testing.T) {
	s, c := withCore(t, nil)
	ctx, leave := context.WithCancel(t.Context())
	const path = "/events/session.status:a%2Fb%20%C3%A4"
	lines, other := s.listen(ctx, path), s.listen(ctx, path)
	for _, body := range []string{`{"state":"ready"}`, ``, "[1,\r\n 2,\n\"a\\nb\"]"} {
		if status, _, answer := s.do(post("/publish/session.status:a%2Fb%20%C3%A4", body)); status != http.StatusNoContent || answer != "" {
			t.Errorf("publish: %d %q", status, answer)
		}
	}
	for _, l := range []*bufio.Reader{lines, other} {
		wantLines(t, l, `data: {"state":"ready"}`, ``, `data: null`, ``, `data: [1,2,"a\nb"]`, ``)
	}
	// What was lost on the way is told in its place.
	topic := "session.status:a/b ä"
	for _, ev := range []pubsub.Event{{Topic: topic, Gap: true, Dropped: 3}, {Topic: topic, Gap: true}} {
		if err := s.hub.Events().Dispatch(t.Context(), ev); err != nil {
			t.Fatal(err)
		}
		want, _ := json.Marshal(map[string]any{"topic": topic, "dropped": ev.Dropped})
		var got, expected any
		wantLines(t, lines, "event: gap")
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if json.Unmarshal([]byte(strings.TrimPrefix(line, "data: ")), &got) != nil || json.Unmarshal(want, &expected) != nil ||
			!equal(got, expected) {
			t.Errorf("gap: %q, want %s", line, want)
		}
		wantLines(t, lines, "")
	}
	leave()
	c.nobody(t)
}

// What another program has published on the core and is not JSON is a gap of one. When the core ends the subscription, the
// answer ends.
func TestEventsOfOtherPrograms(t *testing.T) {
	s, c := withCore(t, nil)
	lines := s.listen(t.Context(), "/events/t")
	for _, payload := range []string{`1`, `{`, `2`} {
		if err := c.Deliver(pubsub.Event{Topic: "t", Payload: []byte(payload)}); err != nil {
			t.Fatal(err)
		}
	}
	wantLines(t, lines, `data: 1`, ``, `event: gap`, `data: {"topic":"t","dropped":1}`, ``, `data: 2`, ``)
	c.End("t", errors.New("on purpose"))()
	if line, err := lines.ReadString('\n'); err != io.EOF {
		t.Errorf("after the end: %q, %v", line, err)
	}
}

func equal(a, b any) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}

func TestKeepAlive(t *testing.T) {
	s, _ := withCore(t, &gateway.Options{KeepAlive: time.Millisecond})
	lines := s.listen(t.Context(), "/events/t")
	wantLines(t, lines, ": keep-alive", "", ": keep-alive", "")
}

func TestEventsEndWhenTheHubDrains(t *testing.T) {
	s, c := withCore(t, nil)
	lines := s.listen(t.Context(), "/events/t")
	if err := s.hub.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if line, err := lines.ReadString('\n'); err == nil || line != "" {
		t.Errorf("read %q, %v after the drain", line, err)
	}
	c.nobody(t)
}

func TestPublishFailures(t *testing.T) {
	s, c := withCore(t, &gateway.Options{MaxMessageBytes: 16})
	s.wantError(post("/publish/hub.spoke.connected", ""), 403, "ACCESS_DENIED")
	s.wantError(post("/publish/__ping", ""), 403, "ACCESS_DENIED")
	s.wantError(post("/publish/call.requested", ""), 403, "ACCESS_DENIED")
	s.wantError(post("/publish/"+strings.Repeat("x", 257), ""), 400, "VALIDATION_ERROR")
	s.wantError(post("/publish/a%00b", ""), 400, "VALIDATION_ERROR")
	s.wantError(post("/publish/a%ffb", ""), 400, "VALIDATION_ERROR")
	s.wantError(post("/publish/t", "{"), 400, "VALIDATION_ERROR")
	s.wantError(post("/publish/t", "12345678901234567"), 413, "MESSAGE_TOO_LARGE")
	s.wantError(post("/publish/t", "1").with("Content-Type", "text/json"), 415, "UNSUPPORTED_MEDIA_TYPE")
	c.mu.Lock()
	c.failure = errors.New("the backplane is away")
	c.mu.Unlock()
	s.wantError(post("/publish/t", "1"), 503, "UNAVAILABLE")

	s.wantError(get("/events/__ping"), 403, "ACCESS_DENIED")
	s.wantError(get("/events/a%0ab"), 400, "VALIDATION_ERROR")
	c.Close()
	s.wantError(get("/events/t"), 503, "UNAVAILABLE")

	guarded := newSite(t, tokens(), nil)
	anna := func(q request) request { return q.with("Authorization", "Bearer anna-secret") }
	guarded.wantError(anna(post("/publish/private.x", "1")), 403, "ACCESS_DENIED")
	guarded.wantError(anna(get("/events/private.x")), 403, "ACCESS_DENIED")
	if status, _, _ := guarded.do(anna(post("/publish/public.x", "1"))); status != http.StatusNoContent {
		t.Errorf("what anna may: %d", status)
	}
}

// A server that cannot flush gets an error and no stream that nobody sees.
func TestEventsNeedAFlusher(t *testing.T) {
	h, err := hub.New(&hub.Options{AllowAnonymous: true})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	g, err := gateway.New(h, nil)
	if err != nil {
		t.Fatal(err)
	}
	rec := httptest.NewRecorder()
	g.ServeHTTP(struct{ http.ResponseWriter }{rec}, httptest.NewRequest(http.MethodGet, "/events/t", nil))
	if rec.Code != http.StatusInternalServerError || !strings.Contains(rec.Body.String(), string(call.CodeExecution)) {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	rec = httptest.NewRecorder()
	g.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/spokes//call/x", nil))
	if rec.Code != http.StatusNotFound {
		t.Errorf("an empty segment: %d", rec.Code)
	}
}
