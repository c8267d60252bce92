package jsonscan

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
