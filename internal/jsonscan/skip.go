package jsonscan

import (
	"encoding/binary"
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
		return skipString(data, i)
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

func skipString(data []byte, i int) int {
	i++
	for {
		i = plain(data, i)
		if i >= len(data) {
			return len(data)
		}
		switch data[i] {
		case '"':
			return i + 1
		case '\\':
			i++ // the escaped byte may be a quote
		}
		i++
	}
}

// brackets finds quotes and brackets of both kinds in a word. '[' and '{' differ
// in one bit, and so do ']' and '}'.
func brackets(word uint64) uint64 {
	quote := word ^ ones*'"'
	folded := word | ones*0x20
	open := folded ^ ones*'{'
	shut := folded ^ ones*'}'
	return ((quote-ones)&^quote | (open-ones)&^open | (shut-ones)&^shut) & highs
}

func skipBrackets(data []byte, i int) int {
	depth := 0
	for i < len(data) {
		if i+8 <= len(data) {
			hit := brackets(binary.LittleEndian.Uint64(data[i:]))
			if hit == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(hit) >> 3
		}
		switch data[i] {
		case '"':
			i = skipString(data, i)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
			if depth == 0 {
				return i + 1
			}
		}
		i++
	}
	return len(data)
}
