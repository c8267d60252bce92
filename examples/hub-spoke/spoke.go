package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/alkdev/hubspoke/spoke"
)

type spokeFlags struct {
	hubs       list
	id, token  string
	labels     labels
	maxMessage int64
	backoffMax time.Duration
	untilEOF   bool
}

func parseSpoke(args []string, std streams) (*spokeFlags, error) {
	var f spokeFlags
	fs := newFlags("spoke", std)
	fs.Var(&f.hubs, "hub", "URL of a hub; may be repeated for more hubs, tried in turn (default ws://127.0.0.1:8080/spoke)")
	fs.StringVar(&f.id, "id", "", "id of the spoke; empty lets the hub choose")
	fs.StringVar(&f.token, "token", "", "secret to show; empty takes HUBSPOKE_TOKEN")
	fs.Var(&f.labels, "label", "KEY=VALUE that calls may select; may be repeated")
	fs.Int64Var(&f.maxMessage, "max-message", maxMessageBytes, "bytes of the largest message that is taken")
	fs.DurationVar(&f.backoffMax, "backoff-max", 0, "longest pause between attempts to connect; 0 is 20 s")
	fs.BoolVar(&f.untilEOF, "until-eof", false, "end when standard input does")
	if err := parseAlone(fs, args); err != nil {
		return nil, err
	}
	if len(f.hubs) == 0 {
		f.hubs = list{"ws://127.0.0.1:8080/spoke"}
	}
	if f.token == "" {
		f.token = os.Getenv("HUBSPOKE_TOKEN")
	}
	return &f, nil
}

// runSpoke serves the operations until ctx ends, and then leaves in order, or until the hub says stop.
func runSpoke(ctx context.Context, args []string, std streams) error {
	f, err := parseSpoke(args, std)
	if err != nil {
		return err
	}
	if f.untilEOF {
		ctx = untilEOF(ctx, std.in)
	}
	o := &spoke.Options{ID: f.id, URLs: f.hubs[1:], Labels: f.labels, MaxMessageBytes: f.maxMessage,
		BackoffMax: f.backoffMax, Logger: newLogger(std.err)}
	if f.token != "" {
		o.Token = spoke.StaticToken(f.token)
	}
	s, err := spoke.New(f.hubs[0], o)
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if err := registerOperations(s); err != nil {
		return err
	}
	ran := make(chan error, 1)
	go func() { ran <- s.Run(context.WithoutCancel(ctx)) }()
	ready := make(chan struct{})
	go func() {
		defer close(ready)
		if s.Ready(ctx) == nil {
			say(std.out, "registered as %s\n", s.ID())
		}
	}()
	select {
	case err = <-ran:
	case <-ctx.Done():
		err = leave(s, ran)
	}
	<-ready
	return err
}

func leave(s *spoke.Spoke, ran <-chan error) error {
	ctx, cancel := context.WithTimeout(context.Background(), drainLimit)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		return fmt.Errorf("what was in flight did not end in %s and was cut off: %w", drainLimit, err)
	}
	return <-ran
}
