package jsonscan_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/alkdev/hubspoke/internal/jsonscan"
)

// Every prefix of every seed is read to an answer from every offset, also by the checks for senders.
func TestCheckEveryPrefix(t *testing.T) {
	for _, seed := range slices.Concat(seeds, skims, []string{"[", "{", "[ ", "{ ", `{"`, `{"a`, `{"a"`, `{"a":`, `["\u00`, "-", "1e", "t"}) {
		for n := range len(seed) + 1 {
			prefix := []byte(seed[:n])
			if got, want := jsonscan.Valid(prefix), json.Valid(prefix); got != want {
				t.Fatalf("Valid(%q) = %v, want %v", prefix, got, want)
			}
			if valid := jsonscan.Check(prefix, jsonscan.MaxDepth) == nil; valid != (json.Valid(prefix) && utf8.Valid(prefix)) {
				t.Fatalf("Check(%q): %v", prefix, jsonscan.Check(prefix, jsonscan.MaxDepth))
			}
			for i := range n + 1 {
				_, _ = jsonscan.Value(prefix, i)
				_, _ = jsonscan.Within(prefix, i, 1)
			}
			for _, o := range []jsonscan.Object{jsonscan.Open(prefix), jsonscan.OpenValid(prefix)} {
				for o.Next() {
					_, _ = o.Name(), o.Value()
				}
				_ = o.Err()
			}
			a := jsonscan.OpenArray(prefix)
			for a.Next() {
				_ = a.Value()
			}
			_ = a.Err()
			_ = jsonscan.Decode(prefix, jsonscan.StringField("a", new(string)), jsonscan.MapField("b", new(map[string]string)))
			_, _ = jsonscan.String(prefix)
			_, _ = jsonscan.Int(prefix)
			_, _ = jsonscan.Strings(prefix)
			_ = jsonscan.Depth(prefix)
			_ = jsonscan.Deeper(prefix, 0)
		}
	}
}

// Deeper, which counts in words, agrees with Depth, which counts bytes, with the brackets at every
// place of a word, and Check with both.
func TestDeeper(t *testing.T) {
	deep := []string{`[[[[[[[[[[[[]]]]]]]]]]]]`, strings.Repeat(`{"[":["}",`, 9) + `"]"` + strings.Repeat(`]}`, 9),
		`[` + strings.Repeat(`[],{},`, 50) + `[[]]]`, `["` + strings.Repeat("[", 300) + `",[[]]]`,
		`["` + strings.Repeat(`\"[`, 30) + `",[[1]]]`}
	for _, s := range slices.Concat(seeds, skims, deep) {
		if !json.Valid([]byte(s)) {
			continue
		}
		for pad := range 17 {
			data := []byte(strings.Repeat(" ", pad) + s)
			depth := jsonscan.Depth(data)
			for limit := range depth + 3 {
				if got := jsonscan.Deeper(data, limit); got != (depth > limit) {
					t.Fatalf("Deeper(%q, %d) = %v; its depth is %d", data, limit, got, depth)
				}
				if err := jsonscan.CheckDepth(data, limit); (err != nil) != (depth > limit) {
					t.Fatalf("CheckDepth(%q, %d) = %v; its depth is %d", data, limit, err, depth)
				}
				if err := jsonscan.Check(data, limit); utf8.Valid(data) && errors.Is(err, jsonscan.ErrTooDeep) != (depth > limit) {
					t.Fatalf("Check(%q, %d) = %v; its depth is %d", data, limit, err, depth)
				}
			}
		}
	}
}

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
