package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/spoke"
	"github.com/alkdev/hubspoke/transport"
)

// connectLimit is how long a call waits for a connection.
const connectLimit = 10 * time.Second

// callAsSpoke makes the call on a connection of its own, as a spoke that serves nothing. It asks
// for a stream: an operation that answers once is a stream of one.
func callAsSpoke(ctx context.Context, f *callFlags, out io.Writer) error {
	o := &spoke.Options{MaxMessageBytes: f.maxMessage}
	if f.token != "" {
		o.Token = spoke.StaticToken(f.token)
	}
	s, err := spoke.New(f.hub, o)
	if err != nil {
		return errors.Join(errUsage, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if f.timeout > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, f.timeout)
		defer stop()
	}
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx) }()
	if err := connected(ctx, s, ran); err != nil {
		return err
	}
	for data, err := range call.Stream[json.RawMessage](ctx, s, f.operation, f.input, call.To(f.to)) {
		if err != nil {
			return err
		}
		if err := printJSON(out, data); err != nil {
			return err
		}
	}
	leaveCtx, stop := context.WithTimeout(ctx, connectLimit)
	defer stop()
	return s.Shutdown(leaveCtx)
}

// connected waits for the connection, or for what the hub says instead.
func connected(ctx context.Context, s *spoke.Spoke, ran <-chan error) error {
	ctx, stop := context.WithTimeout(ctx, connectLimit)
	defer stop()
	err := s.Ready(ctx)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, spoke.ErrStopped):
		err = <-ran
	default:
		err = call.ContextError(ctx, false)
		return &call.Error{Code: call.CodeUnavailable, Message: "no connection to the hub", Cause: err}
	}
	if he, ok := errors.AsType[*transport.HandshakeError](err); ok {
		return &call.Error{Code: call.CodeAccessDenied, Message: he.Error(), Cause: err}
	}
	return err
}
