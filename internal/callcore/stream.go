package callcore

import (
	"errors"
	"iter"
	"sync/atomic"
)

// ErrLeft is what send returns once the reader has left the loop over a stream.
var ErrLeft = errors.New("the reader left")

// RangedOver is the message of a call's error for a second range over a stream.
const RangedOver = "the stream was ranged over before, and a call is made once: call Stream again"

// Stream returns the answers of a call as a sequence. The range over it calls run, which makes the call, hands each answer to
// send, and returns when the call has ended; its error is the last element. A second range yields only the error again.
//
// Once the reader has left the loop, by a panic too, send returns ErrLeft and the error of run has no reader.
func Stream[T any](again error, run func(send func(T) error) error) iter.Seq2[T, error] {
	var ranged atomic.Bool
	return func(yield func(T, error) bool) {
		left := false
		err := again
		if !ranged.Swap(true) {
			err = run(func(v T) error {
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
		}
		if err != nil && !left {
			var zero T
			yield(zero, err)
		}
		left = true
	}
}
