package jsonscan_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/alkdev/hubspoke/internal/jsonscan"
)

func TestCheckSaysWhatIsWrong(t *testing.T) {
	for data, want := range map[string]string{
		"[1,\"\xe9\"]": "is not UTF-8 at byte 4",
		"\xe9":         "is not UTF-8 at byte 0",
		"\"é\xe9\"":    "is not UTF-8 at byte 3",
		`[1,}`:         "is not JSON: no JSON value at byte 3",
		`[1] 2`:        "is not JSON: data after the JSON value at byte 4",
		``:             "is not JSON: unexpected end of JSON at byte 0",
		`[[[]]]`:       "is nested deeper than 2 levels (maxDepth) at byte 2",
	} {
		if err := jsonscan.Check([]byte(data), 2); err == nil || err.Error() != want {
			t.Errorf("Check(%q) = %v, want %s", data, err, want)
		}
	}
}

// What Cut leaves is written within the limit, is valid UTF-8 where s was, and is s where that fits exactly.
func TestCut(t *testing.T) {
	for _, s := range []string{"", "a", strings.Repeat("a", 200), strings.Repeat("語", 90), strings.Repeat("\x01\"\n", 60), strings.Repeat("\\\b\f\r\t\x1f\x7f", 30), strings.Repeat("\xff", 99)} {
		whole := len(jsonscan.AppendString(nil, s)) - 2
		for limit := range whole + 3 {
			got := jsonscan.Cut(s, limit)
			if n := len(jsonscan.AppendString(nil, got)) - 2; n > limit || utf8.ValidString(s) && !utf8.ValidString(got) {
				t.Fatalf("Cut(%q, %d) = %q, written as %d bytes", s, limit, got, n)
			}
			if mark := fmt.Sprintf("… (cut, %d bytes in all)", len(s)); limit < whole && limit >= len(mark) && !strings.HasSuffix(got, mark) {
				t.Fatalf("Cut(%q, %d) = %q, without the mark", s, limit, got)
			}
			if limit >= whole && got != s {
				t.Fatalf("Cut(%q, %d) = %q", s, limit, got)
			}
		}
	}
}
