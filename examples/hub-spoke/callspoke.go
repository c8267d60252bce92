package main

import (
	"context"
	"encoding/json"
	"io"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/spoke"
)

// callAsSpoke makes the call on a connection of its own, as a spoke that serves nothing. It asks
// for a stream: an operation that answers once is a stream of one.
func callAsSpoke(ctx context.Context, f *callFlags, out io.Writer) error {
	if f.timeout > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, f.timeout)
		defer stop()
	}
	o := &spoke.Options{MaxMessageBytes: f.maxMessage}
	if f.token != "" {
		o.Token = spoke.StaticToken(f.token)
	}
	s, leave, err := connect(ctx, f.hub, o)
	if err != nil {
		return err
	}
	defer leave()
	for data, err := range call.Stream[json.RawMessage](ctx, s, f.operation, f.input, call.To(f.to)) {
		if err != nil {
			return err
		}
		if err := printJSON(out, data); err != nil {
			return err
		}
	}
	return nil
}
