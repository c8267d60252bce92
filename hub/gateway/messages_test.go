package gateway_test

import (
	"strings"
	"testing"
)

// A refused request is answered with what is wrong, where, and by which limit.
func TestMessagesOfRefusedRequests(t *testing.T) {
	s := open(t)
	for _, c := range []struct {
		q    request
		want string
	}{
		{post("/call/text.echo", `{"a":1,}`), "the body is not JSON: no member name at byte 7"},
		{post("/publish/t", `{"a":1`), "the body is not JSON: unexpected end of JSON at byte 6"},
		{post("/call/text.echo", "\"caf\xe9\""), "the body is not UTF-8 at byte 4"},
		{post("/call/text.echo", strings.Repeat("[", 200_000)), "the body is nested deeper than 256 levels (maxDepth) at byte 256"},
		{post("/publish/t", strings.Repeat("[", 300)+strings.Repeat("]", 300)), "the body is nested deeper than 256 levels (maxDepth) at byte 256"},
		{post("/call/text.echo", `1 2`), "the body is not JSON: data after the JSON value at byte 2"},
		{post("/call/text.echo?timeout=99999999h", "1"), `timeout "99999999h" is not a duration over 0 and of at most 292 years, such as 20s or 1m30s`},
		{post("/call/text.echo?timeout=5", "1"), `timeout "5" is not a duration`},
		{post("/call/text.echo?timeuot=5s", "1"), `unknown parameter "timeuot": a call has timeout`},
		{post("/spokes/w/call/text.echo?to=x", "1"), `unknown parameter "to": a call has timeout`},
		{post("/call/text.echo?timeout=1s&timeout=2s", "1"), `parameter "timeout" occurs more than once`},
		{post("/call/text.echo?timeout=%zz", "1"), `the query is malformed: invalid URL escape "%zz"`},
		{post("/publish/t?retain=1", "1"), `unknown parameter "retain": publishing has none`},
		{get("/spokes?limt=1"), `unknown parameter "limt": a list has limit, after, prefix, operation, selector, fields`},
		{get("/operations?limit=1.5"), `limit "1.5" is not an integer`},
		{get("/spokes?selector=a"), `selector "a" is not label=value`},
	} {
		s.wantError(c.q, 400, "VALIDATION_ERROR")
		if _, _, body := s.do(c.q); !strings.Contains(strings.ReplaceAll(body, `\"`, `"`), c.want) {
			t.Errorf("%s %s: %s, want %s", c.q.method, c.q.path, body, c.want)
		}
	}
}
