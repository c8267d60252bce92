package gateway_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/alkdev/hubspoke/call"
)

// A bad value over HTTP is refused where it enters: no spoke and no subscriber is touched by it.
func TestBadValuesAreRefused(t *testing.T) {
	s := open(t)
	serve := func(r *call.Registry) error { return call.Handle(r, call.Operation{Name: "text.echo"}, echo) }
	s.join("worker", "", serve)
	lines := s.listen(t.Context(), "/events/news.today")
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, body := range []string{nested(257), nested(9_999), nested(12_000), "\"caf\xe9\"", `{"a":`, `1 2`} {
		for _, path := range []string{"/call/text.echo", "/spokes/worker/call/text.echo", "/call/hub.publish", "/publish/news.today"} {
			s.wantError(post(path, body), http.StatusBadRequest, "VALIDATION_ERROR")
		}
	}
	for _, topic := range []string{"user.*", "user.%3E", "*", "user:*", "a%0Ab", "%FF", strings.Repeat("x", 257)} {
		s.wantError(post("/publish/"+topic, "1"), http.StatusBadRequest, "VALIDATION_ERROR")
		s.wantError(get("/events/"+topic), http.StatusBadRequest, "VALIDATION_ERROR")
	}
	if status, _, body := s.do(post("/call/text.echo", nested(256))); status != http.StatusOK || !strings.Contains(body, nested(256)) {
		t.Errorf("%d: %.100s", status, body)
	}
	if status, _, body := s.do(post("/publish/news.today", nested(256))); status != http.StatusNoContent {
		t.Errorf("%d: %.100s", status, body)
	}
	wantLines(t, lines, "data: "+nested(256), "")
	if stats := s.hub.Stats(); stats.Spokes != 1 || stats.Refused != 0 {
		t.Errorf("%+v", stats)
	}
}

// A handler's error reaches the client unchanged: once, with its details, and with `sent` among them.
func TestErrorOverHTTP(t *testing.T) {
	s := open(t)
	s.join("worker", "", func(r *call.Registry) error {
		return call.Handle(r, call.Operation{Name: "card.charge"}, func(context.Context, any) (any, error) {
			return nil, &call.Error{Code: "CARD_DECLINED", Message: "no funds", Details: []byte(` {"bank":"x"}`)}
		})
	})
	status, _, body := s.do(post("/call/card.charge", ""))
	if want := `{"code":"CARD_DECLINED","message":"no funds","retryable":false,"details":{"sent":true,"bank":"x"}}`; status != http.StatusUnprocessableEntity || strings.TrimSpace(body) != want {
		t.Errorf("%d: %s", status, body)
	}
}
