package jsonscan

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// ErrTooDeep is what the error of Check matches for a value that is nested deeper than the limit.
var ErrTooDeep = errors.New("nested too deep")

// Check reports what keeps data from being sent as a value: it is not UTF-8, not exactly one JSON
// value, or nested deeper than maxDepth levels, MaxDepth at most. The error reads well behind the
// name of the value: "is not UTF-8 at byte 17".
func Check(data []byte, maxDepth int) error {
	if !UTF8(data) {
		return fmt.Errorf("is not UTF-8 at byte %d", firstInvalid(data))
	}
	end, fail := value(data, 0, min(max(maxDepth, 0), MaxDepth))
	if fail == fine {
		if end = skipSpace(data, end); end == len(data) {
			return nil
		}
		fail = failTrail
	}
	if fail == failDepth {
		return tooDeep(fmt.Sprintf("is nested deeper than %d levels (maxDepth) at byte %d", maxDepth, end))
	}
	return fmt.Errorf("is not JSON: %w", fail.at(end))
}

// CheckDepth is Check for data that is known to be one JSON value in UTF-8.
func CheckDepth(data []byte, maxDepth int) error {
	if !Deeper(data, maxDepth) {
		return nil
	}
	return tooDeep(fmt.Sprintf("is nested %d levels deep; the limit is %d (maxDepth)", Depth(data), maxDepth))
}

type tooDeep string

func (e tooDeep) Error() string        { return string(e) }
func (e tooDeep) Is(target error) bool { return target == ErrTooDeep }

// firstInvalid is the index of the first byte that is not UTF-8, len(data) if there is none.
func firstInvalid(data []byte) int {
	i := 0
	for i < len(data) {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			break
		}
		i += n
	}
	return i
}

// Depth is how deep arrays and objects are nested in data, which must be one JSON value: 0 for a
// scalar, 1 for [] and {}.
func Depth(data []byte) int {
	deepest, depth := 0, 0
	for i := 0; i < len(data); {
		switch data[i] {
		case '"':
			i = skipString(data, i+1)
			continue
		case '{', '[':
			depth++
			deepest = max(deepest, depth)
		case '}', ']':
			depth--
		}
		i++
	}
	return deepest
}
