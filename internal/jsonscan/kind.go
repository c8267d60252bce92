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

// Int returns a JSON number as an integer. Whole numbers are exact; one with a
// fraction or an exponent is truncated towards zero. It reports false if raw is
// not exactly one JSON number or does not fit in an int64.
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
	whole := digits(raw, 0)
	var n uint64
	var ok bool
	if whole == len(raw) {
		n, ok = shift(0, raw, len(raw))
	} else {
		n, ok = truncate(raw, whole)
	}
	switch {
	case !ok:
		return 0, false
	case negative && n <= 1<<63:
		return -int64(n), true
	case !negative && n <= math.MaxInt64:
		return int64(n), true
	}
	return 0, false
}

// truncate is the whole part of an unsigned number with a fraction or exponent;
// whole is the count of digits before them.
func truncate(raw []byte, whole int) (uint64, bool) {
	fraction := raw[whole:whole]
	rest := raw[whole:]
	if rest[0] == '.' {
		end := digits(rest, 1)
		fraction, rest = rest[1:end], rest[end:]
	}
	point := whole // digits before the point once the exponent is applied
	if len(rest) > 0 {
		point += exponent(rest[1:], len(raw))
	}
	if point <= whole {
		return shift(0, raw[:whole], max(point, 0))
	}
	n, ok := shift(0, raw[:whole], whole)
	if !ok {
		return 0, false
	}
	return shift(n, fraction, point-whole)
}

// exponent reads [+-]?[0-9]+, held within bounds that no int64 with so many
// digits could tell from the true value.
func exponent(raw []byte, digitsInNumber int) int {
	negative := raw[0] == '-'
	if raw[0] == '+' || negative {
		raw = raw[1:]
	}
	limit := digitsInNumber + 20
	e := 0
	for _, c := range raw {
		e = min(e*10+int(c-'0'), limit)
	}
	if negative {
		return -e
	}
	return e
}

// shift appends count decimal digits to n: those given, then zeros.
func shift(n uint64, given []byte, count int) (uint64, bool) {
	for i := range count {
		var d uint64
		if i < len(given) {
			d = uint64(given[i] - '0')
		} else if n == 0 {
			return 0, true
		}
		if n > (math.MaxUint64-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}
