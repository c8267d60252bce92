package process

import (
	"context"
	"encoding/json"
	"io"
	"testing"

	"github.com/alkdev/hubspoke/bench/contender"
)

// waiting is a server whose calls end only with the test.
type waiting struct{ called, end chan struct{} }

func (w *waiting) Addr() string         { return "" }
func (w *waiting) Publish([]byte) error { return nil }
func (w *waiting) Close() error         { return nil }
func (w *waiting) Call(_ context.Context, _ int, payload []byte) ([]byte, error) {
	close(w.called)
	<-w.end
	return payload, nil
}

// When the measuring process is gone its end of the pipe is closed, and the server must not stay behind with what it
// was told to do last.
func TestServeEndsWithItsInput(t *testing.T) {
	w := &waiting{make(chan struct{}), make(chan struct{})}
	defer close(w.end)
	find := func(string) (contender.Contender, bool) {
		return contender.Contender{Serve: func(contender.Setup) (contender.Server, error) { return w, nil }}, true
	}
	in, commands := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- serve(in, io.Discard, find) }()
	to := json.NewEncoder(commands)
	for _, c := range []command{{Do: doStart}, {Do: doCalls, Calls: CallRun{Clients: 1, InFlight: 1, Duration: 1 << 40}}} {
		if err := to.Encode(c); err != nil {
			t.Fatal(err)
		}
	}
	<-w.called
	if err := commands.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestCommandsOutOfPlace(t *testing.T) {
	ch := &child{find: func(string) (contender.Contender, bool) { return contender.Contender{}, false }}
	for _, c := range []command{{Do: doPublish}, {Do: doCalls}, {Do: "sing"}} {
		if _, err := ch.do(t.Context(), c); err == nil {
			t.Errorf("%s was done", c.Do)
		}
	}
}
