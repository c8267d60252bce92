package jsonscan

import (
	"bytes"
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
	if i := firstInvalid(data); i >= 0 {
		return fmt.Errorf("is not UTF-8 at byte %d", i)
	}
	end, _, fail := value(data, skipSpace(data, 0), min(max(maxDepth, 0), MaxDepth))
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

// CheckDepth is Check for data that is known to be one JSON value in UTF-8. It walks only through data
// that has enough brackets to be nested so deep.
func CheckDepth(data []byte, maxDepth int) error {
	if len(data)/2 <= maxDepth || bytes.Count(data, []byte("["))+bytes.Count(data, []byte("{")) <= maxDepth {
		return nil
	}
	return TooDeep(Depth(data), maxDepth)
}

// TooDeep returns the error of CheckDepth for a value that is nested depth levels deep, or nil.
func TooDeep(depth, maxDepth int) error {
	if depth <= maxDepth {
		return nil
	}
	return tooDeep(fmt.Sprintf("is nested %d levels deep; the limit is %d (maxDepth)", depth, maxDepth))
}

// Depth returns how deep arrays and objects are nested in data: 0 for a scalar, 1 for [] and {}. It is
// also 0 if data is not JSON.
func Depth(data []byte) int {
	_, depth, _ := value(data, skipSpace(data, 0), MaxDepth)
	return depth
}

type tooDeep string

func (e tooDeep) Error() string        { return string(e) }
func (e tooDeep) Is(target error) bool { return target == ErrTooDeep }

// firstInvalid returns the index of the first byte that is not UTF-8, and -1 if there is none.
func firstInvalid(data []byte) int {
	if utf8.Valid(data) {
		return -1
	}
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}
