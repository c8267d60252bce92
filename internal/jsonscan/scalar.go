package jsonscan

import (
	"encoding/binary"
	"math/bits"
)

// scalar validates the string, number or literal at i, which is inside data.
func scalar(data []byte, i int) (int, failure) {
	switch c := data[i]; {
	case c == '"':
		return quoted(data, i)
	case c == '-' || c-'0' <= 9:
		return number(data, i)
	case c == 't':
		return literal(data, i, "true")
	case c == 'f':
		return literal(data, i, "false")
	case c == 'n':
		return literal(data, i, "null")
	}
	return i, failValue
}

func literal(data []byte, i int, word string) (int, failure) {
	if len(data)-i >= len(word) && string(data[i:i+len(word)]) == word {
		return i + len(word), ""
	}
	return i, failLiteral
}

// number validates -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)? at i.
func number(data []byte, i int) (int, failure) {
	if data[i] == '-' {
		i++
	}
	first := i
	i = digits(data, i)
	if i == first || data[first] == '0' && i > first+1 {
		return first, failNumber
	}
	if i < len(data) && data[i] == '.' {
		first = i + 1
		if i = digits(data, first); i == first {
			return i, failNumber
		}
	}
	if i < len(data) && data[i]|0x20 == 'e' {
		i++
		if i < len(data) && (data[i] == '+' || data[i] == '-') {
			i++
		}
		first = i
		if i = digits(data, first); i == first {
			return i, failNumber
		}
	}
	return i, ""
}

func digits(data []byte, i int) int {
	for i < len(data) && data[i]-'0' <= 9 {
		i++
	}
	return i
}

// Eight bytes are looked at in one word: a byte's high bit is set in the result
// where the test holds. A borrow can only spoil bytes above the first hit, so
// the lowest one is exact.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// special finds quotes, backslashes and control characters in a word.
func special(word uint64) uint64 {
	quote := word ^ ones*'"'
	slash := word ^ ones*'\\'
	return ((word-ones*0x20)&^word | (quote-ones)&^quote | (slash-ones)&^slash) & highs
}

// plain returns the index of the first quote, backslash or control character at
// or after i, len(data) if there is none.
func plain(data []byte, i int) int {
	// Most strings are short: look at one word, then at two at a time.
	if i+8 <= len(data) {
		if hit := special(binary.LittleEndian.Uint64(data[i:])); hit != 0 {
			return i + bits.TrailingZeros64(hit)>>3
		}
		i += 8
	}
	for ; i+16 <= len(data); i += 16 {
		two := data[i : i+16 : i+16]
		if hit := special(binary.LittleEndian.Uint64(two)); hit != 0 {
			return i + bits.TrailingZeros64(hit)>>3
		}
		if hit := special(binary.LittleEndian.Uint64(two[8:])); hit != 0 {
			return i + 8 + bits.TrailingZeros64(hit)>>3
		}
	}
	for i < len(data) && data[i] >= 0x20 && data[i] != '"' && data[i] != '\\' {
		i++
	}
	return i
}

// quoted validates the string whose opening quote is at i and returns the index
// after the closing one.
func quoted(data []byte, i int) (int, failure) {
	i++
	for {
		i = plain(data, i)
		if i >= len(data) {
			return len(data), failEnd
		}
		switch data[i] {
		case '"':
			return i + 1, ""
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
