package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/spoke"
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

// notConnected returns why there is no connection: the hub has refused the program, or was not reached in time.
func notConnected(ctx context.Context, stopped error) error {
	if stopped == nil || errors.Is(stopped, context.Canceled) {
		message := "no connection to the hub"
		if stopped != nil {
			message += ": " + stopped.Error()
		}
		return &call.Error{Code: call.CodeUnavailable, Message: message, Retryable: true, Cause: context.Cause(ctx)}
	}
	return &call.Error{Code: call.CodeAccessDenied, Message: stopped.Error(), Cause: stopped}
}
