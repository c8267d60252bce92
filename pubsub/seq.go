package pubsub

import "iter"

// Filter yields the values of seq for which keep returns true.
func Filter[T any](seq iter.Seq[T], keep func(T) bool) iter.Seq[T] {
	return func(yield func(T) bool) {
		for v := range seq {
			if keep(v) && !yield(v) {
				return
			}
		}
	}
}

// Map yields change(v) for each value v of seq.
func Map[T, U any](seq iter.Seq[T], change func(T) U) iter.Seq[U] {
	return func(yield func(U) bool) {
		for v := range seq {
			if !yield(change(v)) {
				return
			}
		}
	}
}

// Take yields the first n values of seq and ends with the last of them, without
// waiting for one more. With n zero or less it yields nothing and does not touch
// seq.
func Take[T any](seq iter.Seq[T], n int) iter.Seq[T] {
	return func(yield func(T) bool) {
		if n <= 0 {
			return
		}
		left := n
		for v := range seq {
			left--
			if !yield(v) || left == 0 {
				return
			}
		}
	}
}

// Batch yields the values of seq in slices of n, and when seq ends what is left
// in a shorter one; n less than 1 counts as 1. Each slice is new and belongs to
// the receiver.
//
// It waits until a batch is full, for as long as that takes: over a live
// subscription a quiet topic holds up to n-1 events back. If the receiver leaves
// the loop, it has got every value that was read.
func Batch[T any](seq iter.Seq[T], n int) iter.Seq[[]T] {
	n = max(1, n)
	return func(yield func([]T) bool) {
		var batch []T
		for v := range seq {
			batch = append(batch, v)
			if len(batch) < n {
				continue
			}
			if !yield(batch) {
				return
			}
			batch = nil
		}
		if len(batch) > 0 {
			yield(batch)
		}
	}
}
