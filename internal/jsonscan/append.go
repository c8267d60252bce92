package jsonscan

import (
	"fmt"
	"unicode/utf8"
)

// AppendString appends s as a JSON string, quotes included, and returns the
// extended slice. Bytes that are not UTF-8 become U+FFFD; only what JSON demands
// is escaped, so neither <, > nor &.
func AppendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= 0x20 && c != '"' && c != '\\' {
				i++
				continue
			}
			dst = append(dst, s[start:i]...)
			dst = appendEscape(dst, c)
			i++
			start = i
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			dst = append(dst, s[start:i]...)
			dst = append(dst, "\uFFFD"...)
			start = i + n
		}
		i += n
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// Cut shortens s so that AppendString writes at most limit bytes of it, quotes aside. What was cut
// ends with a mark that has the length of s; where the limit does not even leave room for the mark, "" is left.
func Cut(s string, limit int) string {
	fits := func(limit int) int {
		i := 0
		for size := 0; i < len(s); {
			n, width := written(s[i:])
			if size += width; size > limit {
				break
			}
			i += n
		}
		return i
	}
	if fits(limit) == len(s) {
		return s
	}
	mark := fmt.Sprintf("… (cut, %d bytes in all)", len(s))
	if len(mark) > limit {
		return ""
	}
	return s[:fits(limit-len(mark))] + mark
}

// written is how many bytes the first rune of s has, and how many AppendString makes of them.
func written(s string) (n, width int) {
	switch c := s[0]; {
	case c >= utf8.RuneSelf:
		r, n := utf8.DecodeRuneInString(s)
		return n, utf8.RuneLen(r)
	case c == '"' || c == '\\' || c == '\b' || c == '\f' || c == '\n' || c == '\r' || c == '\t':
		return 1, 2
	case c < 0x20:
		return 1, len(`\u0000`)
	}
	return 1, 1
}

func appendEscape(dst []byte, c byte) []byte {
	const hex = "0123456789abcdef"
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, '\\', 'b')
	case '\f':
		return append(dst, '\\', 'f')
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}
