package main

import (
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"net"
	"net/http"
	"time"

	"github.com/rs/zerolog"

	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/gateway"
	"github.com/alkdev/hubspoke/hub/redisbackplane"
)

// drainLimit is how long hub and spoke wait for calls in flight when they are asked to end.
const drainLimit = 10 * time.Second

type hubFlags struct {
	listen             string
	redis, redisPrefix string
	tokens             tokens
	origins            list
	maxMessage         int64
	sessionWindow      time.Duration
	untilEOF           bool
}

func parseHub(args []string, std streams) (*hubFlags, error) {
	var f hubFlags
	fs := newFlags("hub", std)
	fs.StringVar(&f.listen, "listen", "127.0.0.1:8080", "address to listen on; port 0 picks one")
	fs.StringVar(&f.redis, "redis", "", "URL of the Redis that joins this hub to others, as redis://:password@host:6379")
	fs.StringVar(&f.redisPrefix, "redis-prefix", redisbackplane.DefaultPrefix, "what its keys and channels in that Redis begin with; the same for all hubs")
	fs.Var(&f.tokens, "token", "ID=SECRET[:scope,scope] that is let in; may be repeated; without any everyone is")
	fs.Var(&f.origins, "origin", "host pattern that browsers may come from; may be repeated")
	fs.Int64Var(&f.maxMessage, "max-message", maxMessageBytes, "bytes of the largest message that is taken")
	fs.DurationVar(&f.sessionWindow, "session-window", 0,
		"how long a spoke that is gone may take to come back before its calls end; 0 is 15 s")
	fs.BoolVar(&f.untilEOF, "until-eof", false, "end when standard input does")
	if err := parseAlone(fs, args); err != nil {
		return nil, err
	}
	if f.maxMessage <= 0 {
		return nil, fmt.Errorf("%w: -max-message must be more than 0", errUsage)
	}
	return &f, nil
}

// runHub serves until ctx ends, and then drains.
func runHub(ctx context.Context, args []string, std streams) error {
	f, err := parseHub(args, std)
	if err != nil {
		return err
	}
	if f.untilEOF {
		ctx = untilEOF(ctx, std.in)
	}
	log := newLogger(std.err)
	o := f.options(log)
	others, leave, err := joinOthers(f.redis, f.redisPrefix, log)
	if err != nil {
		return err
	}
	defer leave()
	o.Backplane = others
	h, err := hub.New(o)
	if errors.Is(err, hub.ErrOptions) {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if err != nil {
		return err
	}
	defer h.Close()
	g, err := gateway.New(h, nil)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /spoke", h)
	mux.Handle("/", g)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, ErrorLog: stdlog.New(log, "", 0)}
	listener, err := net.Listen("tcp", f.listen)
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	if len(f.tokens) == 0 {
		log.Warn().Msg("no -token: everyone who reaches this address is let in and may do everything")
	}
	say(std.out, "listening on http://%s\n", listener.Addr())
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	log.Info().Msg("draining")
	return drain(h, server, served)
}

func (f *hubFlags) options(log *zerolog.Logger) *hub.Options {
	o := &hub.Options{AllowAnonymous: len(f.tokens) == 0, Origins: f.origins, MaxMessageBytes: f.maxMessage,
		SessionWindow: f.sessionWindow, Logger: log}
	if len(f.tokens) > 0 {
		o.Authenticate = hub.BearerTokens(f.tokens)
	}
	return o
}

// drain ends the hub first: it ends the event streams and answers what is still asked.
func drain(h *hub.Hub, server *http.Server, served <-chan error) error {
	ctx, cancel := context.WithTimeout(context.Background(), drainLimit)
	defer cancel()
	err := h.Shutdown(ctx)
	if e := server.Shutdown(ctx); e != nil {
		err = errors.Join(err, e, server.Close())
	}
	if e := <-served; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	if err != nil {
		return fmt.Errorf("what was in flight did not end in %s and was cut off: %w", drainLimit, err)
	}
	return nil
}
