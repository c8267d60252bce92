package spoke_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/spoke"
	"github.com/alkdev/hubspoke/transport"
)

// The errors of operations that wait for a connection contain the status and text of the server's refusal.
func TestErrorsSayWhyTheSpokeIsNotConnected(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "upgrade is disabled here", http.StatusNotImplemented)
	}))
	defer s.Close()
	sp, err := spoke.New(s.URL, &spoke.Options{ID: "a", BackoffMin: time.Hour, BackoffMax: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	short := func() context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		t.Cleanup(cancel)
		return ctx
	}
	if err := sp.Ready(short()); !strings.Contains(err.Error(), "Run has not been called") {
		t.Error(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- sp.Run(ctx) }()
	for st := range sp.States(t.Context()) {
		if st == spoke.BackingOff {
			break
		}
	}
	_, called := sp.Call(t.Context(), call.NewRequest("a.b", nil, call.Timeout(time.Millisecond)))
	_, listened := sp.Events().Listen(short(), "t", func(pubsub.Event) {})
	published := sp.Events().Dispatch(short(), pubsub.Event{Topic: "t"})
	ready := sp.Ready(short())
	last := sp.LastError()
	stop()
	for what, err := range map[string]error{"Ready": ready, "Call": called, "Listen": listened, "Dispatch": published, "LastError": last, "Run": <-ran, "Ready after Run": sp.Ready(t.Context())} {
		he, ok := errors.AsType[*transport.HandshakeError](err)
		if !ok || he.Status != http.StatusNotImplemented || !strings.Contains(err.Error(), "501") || !strings.Contains(err.Error(), "upgrade is disabled here") {
			t.Errorf("%s: %v", what, err)
		}
		switch {
		case strings.HasSuffix(what, "Run"):
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", what, err)
			}
		case what != "LastError" && !errors.Is(err, context.DeadlineExceeded):
			t.Errorf("%s: %v", what, err)
		}
	}
}

// The errors of calls that end with a connection contain its close code and reason.
func TestDisconnectedSaysWhy(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		s := net.Spoke("a", nil, nil)
		_ = call.Handle(net.Hub.Operations(), call.Operation{Name: "test.wait"}, func(ctx context.Context, _ any) (any, error) { <-ctx.Done(); return nil, nil })
		ended := make(chan error, 1)
		go func() {
			_, err := call.Invoke[any](t.Context(), s, "test.wait", nil, call.Timeout(time.Hour))
			ended <- err
		}()
		later(time.Second)
		if _, err := net.Hub.Disconnect(t.Context(), "a", "misbehaved"); err != nil {
			t.Fatal(err)
		}
		err := <-ended
		ce, ok := errors.AsType[*transport.CloseError](err)
		if !errors.Is(err, call.CodeDisconnected) || !ok || ce.Code != transport.CloseKicked || !strings.Contains(err.Error(), "4503") || !strings.Contains(err.Error(), "misbehaved") {
			t.Error(err)
		}
		_ = s.Wait()
		wantClose(t, s.LastError(), transport.CloseKicked)
		wantClose(t, s.Ready(t.Context()), transport.CloseKicked)
	})
}

// The password and the query of a URL are in no log line, no error and no state.
func TestNoCredentialsInLogsAndErrors(t *testing.T) {
	var log strings.Builder
	logger := zerolog.New(zerolog.SyncWriter(&log))
	dead := httptest.NewServer(http.NotFoundHandler())
	_, host, _ := strings.Cut(dead.URL, "://")
	dead.Close()
	for _, url := range []string{"ws://user:secret@" + host, "ws://" + host + "/?token=secret", "ws://" + host + "/?secret"} {
		s, err := spoke.New(url, &spoke.Options{Logger: &logger, BackoffMin: time.Millisecond, BackoffMax: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		go func() { ran <- s.Run(ctx) }()
		for s.Stats().Attempts < 3 {
			<-time.After(time.Millisecond)
		}
		stop()
		if err := <-ran; err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), host) {
			t.Errorf("%s: Run: %v", url, err)
		}
		if err := s.LastError(); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: LastError: %v", url, err)
		}
	}
	if got := log.String(); strings.Contains(got, "secret") || !strings.Contains(got, host) {
		t.Errorf("logged: %s", got)
	}
	for _, url := range []string{"ws://user:sec ret@h", "ftp://user:secret@h", "ws://user:se/secret@h", "ws://user:secret@", "ws://h:secret", "user:secret@h"} {
		if _, err := spoke.New(url, nil); !errors.Is(err, spoke.ErrOptions) || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "sec ret") {
			t.Errorf("%s: %v", url, err)
		}
		if _, err := spoke.New("ws://h", &spoke.Options{URLs: []string{url}}); !errors.Is(err, spoke.ErrOptions) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", url, err)
		}
	}
}
