package jsonscan

import "strconv"

// MaxDepth is how deep arrays and objects may be nested, the limit of
// encoding/json.
const MaxDepth = 10000

// shallow is the depth that fits in one word of the nesting stack. Nearly all
// messages do, and a word costs nothing to clear.
const shallow = 64

// SyntaxError says where and why data is not JSON.
type SyntaxError struct {
	// Offset is the index of the offending byte; the length of the data if it
	// ended too early.
	Offset int
	msg    string
}

func (e *SyntaxError) Error() string {
	return e.msg + " at byte " + strconv.Itoa(e.Offset)
}

// failure says why; the scanners return it so that only the outermost call
// allocates an error.
type failure uint8

const (
	fine failure = iota
	failEnd
	failValue
	failLiteral
	failNumber
	failControl
	failEscape
	failName
	failColon
	failComma
	failDepth
	failTrail
)

var messages = [...]string{
	failEnd:     "unexpected end of JSON",
	failValue:   "no JSON value",
	failLiteral: "invalid literal",
	failNumber:  "invalid number",
	failControl: "control character in string",
	failEscape:  "invalid escape in string",
	failName:    "no member name",
	failColon:   "no colon after member name",
	failComma:   "no comma or closing bracket",
	failDepth:   "nested too deep",
	failTrail:   "data after the JSON value",
}

func (f failure) at(i int) error { return &SyntaxError{Offset: i, msg: messages[f]} }

// value validates the value at i, with arrays and objects nested at most limit levels deep, and
// returns the index behind it and how deep it is nested. On failure it returns the index of the
// offence.
func value(data []byte, i, limit int) (end, depth int, fail failure) {
	if i >= len(data) {
		return len(data), 0, failEnd
	}
	if c := data[i]; c != '{' && c != '[' {
		end, fail = scalar(data, i)
		return end, 0, fail
	}
	var word [1]uint64
	end, depth, fail = composite(data, i, word[:], min(limit, shallow))
	if fail == failDepth && limit > shallow {
		// Rare and bounded: begin again with a stack that holds every depth.
		return deepComposite(data, i, limit)
	}
	return end, depth, fail
}

// deepComposite has the big stack in a frame of its own, so that value does not clear it each time.
//
//go:noinline
func deepComposite(data []byte, i, limit int) (int, int, failure) {
	var words [(MaxDepth + 63) / 64]uint64
	return composite(data, i, words[:], limit)
}

// composite validates the array or object at i. The stack has one bit per open bracket, set for an
// object.
func composite(data []byte, i int, stack []uint64, limit int) (end, deepest int, fail failure) {
	depth := 0
	inObject := false
	for {
		// A value is due at i, white space skipped.
		if i >= len(data) {
			return len(data), 0, failEnd
		}
		switch c := data[i]; c {
		case '{', '[':
			if depth == limit {
				return i, 0, failDepth
			}
			inObject = c == '{'
			push(stack, depth, inObject)
			depth++
			deepest = max(deepest, depth)
			i = skipSpace(data, i+1)
			if i < len(data) && data[i] == c+2 { // '{'+2 is '}', '['+2 is ']'
				break // empty: closed below like any other
			}
			if inObject {
				if i, fail = memberName(data, i); fail != fine {
					return i, 0, fail
				}
			}
			continue
		case '"':
			i, fail = quoted(data, i)
		default:
			i, fail = scalar(data, i)
		}
		if fail != fine {
			return i, 0, fail
		}
		i = skipSpace(data, i)
		// A value has ended before i, or an empty bracket is about to be closed.
		if i < len(data) && data[i] == ',' {
			i = skipSpace(data, i+1)
		} else {
			i, depth, inObject, fail = closeBrackets(data, i, stack, depth, inObject)
			if fail != fine || depth == 0 {
				return i, deepest, fail
			}
		}
		if inObject {
			if i, fail = memberName(data, i); fail != fine {
				return i, 0, fail
			}
		}
	}
}

// closeBrackets reads the closing brackets at i and the comma after them. It returns with depth 0
// after the last bracket (i directly behind it), else with i where the next element or member begins.
func closeBrackets(data []byte, i int, stack []uint64, depth int, inObject bool) (int, int, bool, failure) {
	for {
		if i >= len(data) {
			return len(data), depth, inObject, failEnd
		}
		switch c := data[i]; {
		case c == ',':
			return skipSpace(data, i+1), depth, inObject, fine
		case c == '}' && inObject, c == ']' && !inObject:
			i++
			depth--
			if depth == 0 {
				return i, 0, false, fine
			}
			inObject = top(stack, depth)
			i = skipSpace(data, i)
		default:
			return i, depth, inObject, failComma
		}
	}
}

// memberName validates a name and its colon and returns where the value begins.
func memberName(data []byte, i int) (int, failure) {
	if i >= len(data) {
		return len(data), failEnd
	}
	if data[i] != '"' {
		return i, failName
	}
	i, fail := quoted(data, i)
	if fail != fine {
		return i, fail
	}
	i = skipSpace(data, i)
	if i >= len(data) {
		return len(data), failEnd
	}
	if data[i] != ':' {
		return i, failColon
	}
	return skipSpace(data, i+1), fine
}

func push(stack []uint64, depth int, object bool) {
	bit := uint64(1) << (depth & 63)
	if object {
		stack[depth>>6] |= bit
	} else {
		stack[depth>>6] &^= bit
	}
}

// top says whether the innermost of depth open brackets is an object's.
func top(stack []uint64, depth int) bool {
	depth--
	return stack[depth>>6]>>(depth&63)&1 != 0
}

func skipSpace(data []byte, i int) int {
	for i < len(data) && data[i] <= ' ' {
		if c := data[i]; c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			break
		}
		i++
	}
	return i
}
