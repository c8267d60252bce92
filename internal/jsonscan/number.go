package jsonscan

import "strconv"

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
		return i + len(word), fine
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
	return i, fine
}

func digits(data []byte, i int) int {
	for i < len(data) && data[i]-'0' <= 9 {
		i++
	}
	return i
}

// Kind returns what a raw JSON value is by its first byte: '{', '[', '"', '0' for a number, 't' for
// true, 'f' for false, 'n' for null, and 0 for anything else, the empty slice included. It does not
// validate.
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

// Int returns a JSON number that is an integer: it has neither a fraction nor an exponent, not even
// where its value is whole (1.0, 1e3). It returns false for any other text, and for a number that is no
// int64.
func Int(raw []byte) (int64, bool) {
	if Kind(raw) != '0' {
		return 0, false
	}
	if end, fail := number(raw, 0); fail != fine || end != len(raw) {
		return 0, false
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	return n, err == nil
}
