package pubsub

import "iter"

// Filter yields the values of seq for which keep returns true. An error of seq passes unchanged.
func Filter[T any](seq iter.Seq2[T, error], keep func(T) bool) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for v, err := range seq {
			if (err != nil || keep(v)) && !yield(v, err) {
				return
			}
		}
	}
}

// Map yields change(v) for each value v of seq, and the zero U with an error of seq.
func Map[T, U any](seq iter.Seq2[T, error], change func(T) U) iter.Seq2[U, error] {
	return func(yield func(U, error) bool) {
		for v, err := range seq {
			var u U
			if err == nil {
				u = change(v)
			}
			if !yield(u, err) {
				return
			}
		}
	}
}

// Take yields the first n values of seq and leaves it with the last of them, without
// waiting for one more. With n zero or less it yields nothing and does not touch
// seq. An error of seq passes unchanged and does not count.
func Take[T any](seq iter.Seq2[T, error], n int) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		if n <= 0 {
			return
		}
		left := n
		for v, err := range seq {
			if err == nil {
				left--
			}
			if !yield(v, err) || left == 0 {
				return
			}
		}
	}
}

// Batch yields the values of seq in slices of n, and when seq ends what is left
// in a shorter one; n less than 1 counts as 1. Each slice is new and belongs to
// the receiver. An error of seq comes after the values that were read before it.
//
// It waits until a batch is full, for as long as that takes: over a live
// subscription a quiet topic holds up to n-1 events back.
func Batch[T any](seq iter.Seq2[T, error], n int) iter.Seq2[[]T, error] {
	n = max(1, n)
	return func(yield func([]T, error) bool) {
		var batch []T
		for v, err := range seq {
			if err == nil {
				batch = append(batch, v)
			}
			if len(batch) == n || err != nil && len(batch) > 0 {
				if !yield(batch, nil) {
					return
				}
				batch = nil
			}
			if err != nil && !yield(nil, err) {
				return
			}
		}
		if len(batch) > 0 {
			yield(batch, nil)
		}
	}
}
