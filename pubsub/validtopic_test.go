package pubsub

import (
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func FuzzValidTopic(f *testing.F) {
	for _, topic := range []string{
		"", "a", "session.status:proj_123", "a b", "日本語", "\x00", "a\n", "\x7f", "\u0080", "\u009f", "\u00a0", "\xff", "a\xc3",
		"*", ">", "a.*", "a.>", "*.a", "a:*", "a.*.b", "a.*b", "**", ".", ".*", "*:", "a.> ", "\u2028", strings.Repeat("x", 256), strings.Repeat("x", 257), strings.Repeat("é", 128), strings.Repeat("é", 129),
	} {
		f.Add(topic)
	}
	f.Fuzz(func(t *testing.T, topic string) {
		want := len(topic) >= 1 && len(topic) <= 256 && utf8.ValidString(topic) && !strings.ContainsFunc(topic, unicode.IsControl)
		for _, segment := range strings.FieldsFunc(topic, func(r rune) bool { return r == '.' || r == ':' }) {
			want = want && segment != "*" && segment != ">"
		}
		err := ValidTopic(topic)
		if (err == nil) != want {
			t.Errorf("ValidTopic(%q) = %v", topic, err)
		}
		if err != nil && !errors.Is(err, ErrInvalidTopic) {
			t.Errorf("%v is no ErrInvalidTopic", err)
		}
	})
}
