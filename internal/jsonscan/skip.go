package jsonscan

import (
	"bytes"
	"math/bits"
)

// skipValid returns the index after the value at i in data that is known to be
// valid: brackets are only counted, numbers and literals only skipped.
func skipValid(data []byte, i int) int {
	if i >= len(data) {
		return len(data)
	}
	switch data[i] {
	case '"':
		return skipString(data, i+1)
	case '{', '[':
		return skipBrackets(data, i)
	}
	for i < len(data) {
		switch data[i] {
		case ',', '}', ']', ' ', '\n', '\r', '\t':
			return i
		}
		i++
	}
	return i
}

// skipString returns the index after the quote that closes the string in which
// i is; the byte at i is not escaped.
func skipString(data []byte, i int) int {
	// Short strings are told by a word or two, long ones by IndexByte.
	for far := i + 16; i+8 <= len(data) && i < far; i += 8 {
		if hit := special(word(data, i)) & highs; hit != 0 {
			i += bits.TrailingZeros64(hit) >> 3
			if data[i] == '"' {
				return i + 1
			}
			break
		}
	}
	for start := i; i < len(data); {
		quote := bytes.IndexByte(data[i:], '"')
		if quote < 0 {
			break
		}
		i += quote
		slash := i
		for slash > start && data[slash-1] == '\\' {
			slash--
		}
		i++
		if (i-slash)&1 != 0 { // an even count of backslashes: the quote is not escaped
			return i
		}
	}
	return len(data)
}

// zeros has the high bit of each byte of w set that is zero, and no other bit.
func zeros(w uint64) uint64 { return ^(w&^highs + ^uint64(highs) | w) & highs }

// skipBrackets returns the index after the bracket that closes the one at i.
//
// It has no branch for a quote or a bracket, since their places cannot be
// predicted: the multiplication sums the quotes up to each byte, an odd sum
// means inside a string, and brackets outside are counted. Words in which more
// is at stake go through skipBytes.
func skipBrackets(data []byte, i int) int {
	depth := 0
	inside := uint64(0) // all ones while in a string
	before := uint64(0) // the quotes of the last word
	for i+8 <= len(data) {
		w := word(data, i)
		quotes := zeros(w ^ ones*'"')
		strings := (quotes>>7*ones)<<7 ^ inside
		// '[' and '{' differ in one bit, and so do ']' and '}'.
		folded := w | ones*0x20
		opening := zeros(folded^ones*'{') &^ strings
		closing := zeros(folded^ones*'}') &^ strings
		shut := bits.OnesCount64(closing)
		if shut >= depth || inside != 0 && quotes|before == 0 || zeros(w^ones*'\\') != 0 {
			if inside != 0 {
				i, inside = skipString(data, i), 0
			} else if i, depth = skipBytes(data, i, i+8, depth); depth == 0 {
				return i
			}
			continue
		}
		depth += bits.OnesCount64(opening) - shut
		inside, before = uint64(int64(strings)>>63), quotes
		i += 8
	}
	if inside != 0 {
		i = skipString(data, i)
	}
	i, _ = skipBytes(data, i, len(data), depth)
	return i
}

// skipBytes is skipBrackets byte by byte from i, outside of strings, up to end
// or to the end of the string in which that is; and no further than to depth 0.
func skipBytes(data []byte, i, end, depth int) (int, int) {
	for i < end {
		switch data[i] {
		case '"':
			i = skipString(data, i+1)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
			if depth == 0 {
				return i + 1, 0
			}
		}
		i++
	}
	return i, depth
}

// Deeper reports whether Depth(data) is over limit. It is fast: no short value is scanned, and long
// ones by words, as skipBrackets does.
func Deeper(data []byte, limit int) bool {
	if len(data)/2 <= limit { // each level has two brackets
		return false
	}
	depth, i := 0, 0
	inside := uint64(0) // all ones while in a string
	before := uint64(0) // the quotes of the last word
	for i+8 <= len(data) {
		w := word(data, i)
		quotes := zeros(w ^ ones*'"')
		strings := (quotes>>7*ones)<<7 ^ inside
		folded := w | ones*0x20
		opening := zeros(folded^ones*'{') &^ strings
		closing := zeros(folded^ones*'}') &^ strings
		opened := bits.OnesCount64(opening)
		if depth+opened > limit || inside != 0 && quotes|before == 0 || zeros(w^ones*'\\') != 0 {
			if inside != 0 {
				i, inside = skipString(data, i), 0
				continue
			}
			var over bool
			if i, depth, over = deeperBytes(data, i, i+8, depth, limit); over {
				return true
			}
			continue
		}
		depth += opened - bits.OnesCount64(closing)
		inside, before = uint64(int64(strings)>>63), quotes
		i += 8
	}
	if inside != 0 {
		i = skipString(data, i)
	}
	_, _, over := deeperBytes(data, i, len(data), depth, limit)
	return over
}

// deeperBytes is Deeper byte by byte from i, outside of strings, up to end or to the end of the
// string in which that is.
func deeperBytes(data []byte, i, end, depth, limit int) (int, int, bool) {
	for i < end {
		switch data[i] {
		case '"':
			i = skipString(data, i+1)
			continue
		case '{', '[':
			if depth++; depth > limit {
				return i, depth, true
			}
		case '}', ']':
			depth--
		}
		i++
	}
	return i, depth, false
}
