package main

import (
	"context"
	"io"
)

// untilEOF gives a context that ends when in does too. A process that holds the other end of in
// takes its children with it, however it ends.
func untilEOF(ctx context.Context, in io.Reader) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	go func() { // ends with in, or with the process
		defer cancel()
		_, _ = io.Copy(io.Discard, in)
	}()
	return ctx
}
