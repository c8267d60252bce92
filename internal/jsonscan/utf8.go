package jsonscan

import "unicode/utf8"

// ValidUTF8 reports whether data is UTF-8 and exactly one JSON value with
// nothing but white space around it.
func ValidUTF8(data []byte) bool { return UTF8(data) && Valid(data) }

// UTF8 is utf8.Valid, and faster where much of the text is not ASCII: it compares
// the continuation bytes of a word with those that the bytes before them demand.
func UTF8(data []byte) bool {
	i := asciiBlocks(data, 0)
	demand := uint64(0) // the high bits of the continuations due to bytes before i
	for i+8 <= len(data) {
		w := word(data, i)
		high := w & highs
		if high|demand == 0 {
			if i += 8; i&24 == 0 {
				i = asciiBlocks(data, i)
			}
			continue
		}
		first := high & (w << 1)  // 11xxxxxx
		three := first & (w << 2) // 111xxxxx
		// C0, C1, E0, ED and all from F0 on ask more of the second byte than that
		// it be a continuation. They are rare, and left to the standard library.
		odd := (((w | ones) ^ ones*0xc1) - ones) | ((w ^ ones*0xe0) - ones) | ((w ^ ones*0xed) - ones) | three&(w<<3)
		if odd&high != 0 {
			var valid bool
			if i, valid = runes(data, i, demand); !valid {
				return false
			}
			demand = 0
			continue
		}
		if high&^first != first<<8|three<<16|demand {
			return false
		}
		demand = first>>56 | three>>48
		i += 8
	}
	return utf8.Valid(data[runeStart(data, i, demand):])
}

// asciiBlocks skips blocks of 32 bytes that are ASCII.
func asciiBlocks(data []byte, i int) int {
	for i+32 <= len(data) {
		block := data[i : i+32 : i+32]
		if (word(block, 0)|word(block, 8)|word(block, 16)|word(block, 24))&highs != 0 {
			break
		}
		i += 32
	}
	return i
}

// runes checks rune by rune what begins before i+8, and returns where it ends.
func runes(data []byte, i int, demand uint64) (int, bool) {
	end := i + 8
	for i = runeStart(data, i, demand); i < end; {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			return i, false
		}
		i += n
	}
	return i, true
}

// runeStart is the index of the first byte of the rune that reaches over i, of
// which all before i is in order; i if demand says that none does.
func runeStart(data []byte, i int, demand uint64) int {
	if demand == 0 {
		return i
	}
	for i--; !utf8.RuneStart(data[i]); i-- {
	}
	return i
}
