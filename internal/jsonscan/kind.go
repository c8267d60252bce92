package jsonscan

import "math"

// Kind tells what a raw JSON value is by its first byte: '{', '[', '"', '0' for
// a number, 't' for true, 'f' for false, 'n' for null, and 0 for anything else,
// the empty slice included. It doesn't validate.
func Kind(raw []byte) byte {
	if len(raw) == 0 {
		return 0
	}
	switch c := raw[0]; {
	case c == '-' || c-'0' <= 9:
		return '0'
	case c == '{' || c == '[' || c == '"' || c == 't' || c == 'f' || c == 'n':
		return c
	}
	return 0
}

// IsNull reports whether raw is the JSON value null.
func IsNull(raw []byte) bool { return string(raw) == "null" }

// Bool returns the JSON value true or false; ok is false if raw is neither.
func Bool(raw []byte) (v, ok bool) {
	v = string(raw) == "true"
	return v, v || string(raw) == "false"
}

// Int returns a JSON number that is an integer: it has neither a fraction nor an exponent, not even where
// its value is whole (1.0, 1e3). It reports false for any other text, and for a number that does not fit in an int64.
func Int(raw []byte) (int64, bool) {
	if Kind(raw) != '0' {
		return 0, false
	}
	end, fail := number(raw, 0)
	if fail != fine || end != len(raw) {
		return 0, false
	}
	negative := raw[0] == '-'
	if negative {
		raw = raw[1:]
	}
	var n uint64
	for _, c := range raw {
		if c < '0' || c > '9' { // a fraction or an exponent
			return 0, false
		}
		d := uint64(c - '0')
		if n > (math.MaxUint64-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	switch {
	case negative && n <= 1<<63:
		return -int64(n), true
	case !negative && n <= math.MaxInt64:
		return int64(n), true
	}
	return 0, false
}
