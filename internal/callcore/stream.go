package callcore

import (
	"errors"
	"iter"
)

// ErrLeft is what send returns once the reader has left the loop over a stream.
var ErrLeft = errors.New("the reader left")

// Stream returns the answers of a call as a sequence. Each range calls run, which makes the call, hands each answer to
// send, and returns when the call has ended; its error is the last element.
//
// Once the reader has left the loop, by a panic too, send returns ErrLeft and the error of run has no reader.
func Stream[T any](run func(send func(T) error) error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		left := false
		err := run(func(v T) error {
			if left {
				return ErrLeft
			}
			left = true // unless yield returns, and returns true
			if !yield(v, nil) {
				return ErrLeft
			}
			left = false
			return nil
		})
		if err != nil && !left {
			var zero T
			yield(zero, err)
		}
		left = true
	}
}
