package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/spoke"
	"github.com/alkdev/hubspoke/transport"
)

// connectLimit is how long a command waits for its connection, and to leave it.
const connectLimit = 10 * time.Second

// connect joins a hub as a spoke that makes calls. Leave must be called unless it fails.
func connect(ctx context.Context, url string, o *spoke.Options) (s *spoke.Spoke, leave func(), err error) {
	s, err = spoke.New(url, o)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	runCtx, cut := context.WithCancel(context.WithoutCancel(ctx))
	ran := make(chan struct{})
	var stopped error // set before ran is closed
	go func() {
		defer close(ran)
		stopped = s.Run(runCtx)
	}()
	wait, stop := context.WithTimeout(ctx, connectLimit)
	defer stop()
	if s.Ready(wait) == nil {
		return s, func() {
			leaveCtx, stop := context.WithTimeout(runCtx, connectLimit)
			defer stop()
			_ = s.Shutdown(leaveCtx) // what is not in order is cut off
			cut()
			<-ran
		}, nil
	}
	cut()
	<-ran
	return nil, nil, notConnected(wait, stopped)
}

// notConnected says why there is no connection: the hub does not want us, or is not there.
func notConnected(ctx context.Context, stopped error) error {
	if h, ok := errors.AsType[*transport.HandshakeError](stopped); ok {
		return &call.Error{Code: call.CodeAccessDenied, Message: h.Error(), Cause: stopped}
	}
	if _, ok := errors.AsType[*transport.CloseError](stopped); ok {
		return &call.Error{Code: call.CodeAccessDenied, Message: stopped.Error(), Cause: stopped}
	}
	return &call.Error{Code: call.CodeUnavailable, Message: "no connection to the hub", Retryable: true, Cause: context.Cause(ctx)}
}
