package jsonscan

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// Eight bytes are looked at in one word: a byte's high bit is set in the result
// where the test holds. A borrow can only spoil bytes above the first hit, so
// the lowest one is exact.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

func word(data []byte, i int) uint64 { return binary.LittleEndian.Uint64(data[i : i+8 : i+8]) }

// special finds quotes, backslashes and control characters in a word; bits
// below the high ones are noise. A quote with bit 1 flipped is a space, so that
// one comparison finds it together with the control characters (and the bytes
// that flipping makes of them are control characters still).
func special(w uint64) uint64 {
	quote := (w ^ ones*0x02) - ones*0x21
	slash := (w ^ ones*'\\') - ones
	return (quote | slash) &^ w
}

// plain returns the index of the first quote, backslash or control character at
// or after i, len(data) if there is none.
func plain(data []byte, i int) int {
	for far := i + 64; ; far = len(data) {
		for ; i < far && i+8 <= len(data); i += 8 {
			if hit := special(word(data, i)) & highs; hit != 0 {
				return i + bits.TrailingZeros64(hit)>>3
			}
		}
		if i+8 > len(data) {
			break
		}
		i = plainParts(data, i)
	}
	for i < len(data) && data[i] >= 0x20 && data[i] != '"' && data[i] != '\\' {
		i++
	}
	return i
}

// partBytes is how much plainParts searches at a time.
const partBytes = 2048

// plainParts skips most of a long string in which plain would find nothing. Package bytes searches for
// one character faster than words do for all; the parts bound what is searched again after an escape.
func plainParts(data []byte, i int) int {
	for {
		part := data[i:min(i+partBytes, len(data))]
		if n := bytes.IndexByte(part, '"'); n >= 0 {
			part = part[:n]
		}
		if n := bytes.IndexByte(part, '\\'); n >= 0 {
			part = part[:n]
		}
		for blocks := part[:len(part)&^31]; len(blocks) > 0; blocks = blocks[32:] {
			b := blocks[:32:32]
			if (below(word(b, 0))|below(word(b, 8))|below(word(b, 16))|below(word(b, 24)))&highs != 0 {
				return i
			}
			i += 32
		}
		if len(part) < partBytes {
			return i
		}
	}
}

// below finds control characters in a word, as special does.
func below(w uint64) uint64 { return (w - ones*0x20) &^ w }

// quoted validates the string whose opening quote is at i and returns the index
// after the closing one.
func quoted(data []byte, i int) (int, failure) {
	i++
	// Nearly all strings end here: plain is written out to save its call.
	for far := i + 32; i+8 <= len(data) && i < far; i += 8 {
		if hit := special(word(data, i)) & highs; hit != 0 {
			i += bits.TrailingZeros64(hit) >> 3
			if data[i] == '"' {
				return i + 1, fine
			}
			break
		}
	}
	return quotedRest(data, i)
}

// quotedRest is quoted from any index inside the string on that is no part of an escape.
func quotedRest(data []byte, i int) (int, failure) {
	for {
		i = plain(data, i)
		if i >= len(data) {
			return len(data), failEnd
		}
		switch data[i] {
		case '"':
			return i + 1, fine
		case '\\':
			n := escapeLen(data[i:])
			if n == 0 {
				return i, failEscape
			}
			i += n
		default:
			return i, failControl
		}
	}
}

// escapeLen is the length of the escape that data begins with, 0 if it is none.
func escapeLen(data []byte) int {
	if len(data) < 2 {
		return 0
	}
	switch data[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(data) >= 6 && hex4(data[2:6]) >= 0 {
			return 6
		}
	}
	return 0
}

// hex4 is the value of four hexadecimal digits, negative if they are not.
func hex4(data []byte) rune {
	var r rune
	for _, c := range data[:4] {
		switch {
		case c-'0' <= 9:
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}

// String unquotes a JSON string, quotes included, exactly as encoding/json does:
// a lone surrogate and every byte that is not UTF-8 become U+FFFD. It reports
// false if raw is not exactly one JSON string.
func String(raw []byte) (string, bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	end, fail := quoted(raw, 0)
	if fail != fine || end != len(raw) {
		return "", false
	}
	inner := raw[1 : end-1]
	if !hasEscape(inner) && utf8.Valid(inner) {
		return string(inner), true
	}
	return string(unescape(make([]byte, 0, len(inner)), inner)), true
}

func hasEscape(inner []byte) bool { return bytes.IndexByte(inner, '\\') >= 0 }

// unescape appends the inside of a valid JSON string to dst.
func unescape(dst, inner []byte) []byte {
	for len(inner) > 0 {
		c := inner[0]
		switch {
		case c == '\\' && inner[1] == 'u':
			r := hex4(inner[2:])
			inner = inner[6:]
			if utf16.IsSurrogate(r) {
				pair := rune(utf8.RuneError)
				if len(inner) >= 6 && inner[0] == '\\' && inner[1] == 'u' {
					pair = utf16.DecodeRune(r, hex4(inner[2:]))
				}
				if pair != utf8.RuneError {
					inner = inner[6:]
				}
				r = pair
			}
			dst = utf8.AppendRune(dst, r)
		case c == '\\':
			dst = append(dst, unescaped(inner[1]))
			inner = inner[2:]
		case c < utf8.RuneSelf:
			dst = append(dst, c)
			inner = inner[1:]
		default:
			r, n := utf8.DecodeRune(inner)
			dst = utf8.AppendRune(dst, r)
			inner = inner[n:]
		}
	}
	return dst
}

func unescaped(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}
