package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/alkdev/hubspoke/call"
)

// answering is a Caller that answers with a function.
type answering func(req *call.Request) (string, error)

func (a answering) Call(_ context.Context, req *call.Request) (call.Envelope, error) {
	data, err := a(req)
	if err != nil {
		return call.Envelope{}, err
	}
	return call.Envelope{Data: json.RawMessage(data), Meta: json.RawMessage(`{"source":"local","spokeId":"w"}`)}, nil
}

func (answering) Stream(context.Context, *call.Request) iter.Seq2[call.Envelope, error] {
	return func(func(call.Envelope, error) bool) {}
}

func runOne(t *testing.T, c call.Caller, disturb func(context.Context) error) (*job, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.go")
	if err := os.WriteFile(path, []byte("package a\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	j := newJob([]source{{path, "a.go"}}, 2, newProgress(io.Discard, 1))
	if err := j.run(t.Context(), []asker{{Caller: call.Intercept(c, j.interceptors()...)}}, disturb); err != nil {
		return j, err
	}
	return j, j.verdict()
}

func TestJobChecksItsAnswers(t *testing.T) {
	calm := func(context.Context) error { return nil }
	right := func(req *call.Request) (string, error) {
		if req.Operation == opSymbols {
			return `{}`, nil
		}
		return `{"words":2,"lines":1,"bytes":10}`, nil
	}
	if _, err := runOne(t, answering(right), calm); err != nil {
		t.Errorf("right answers: %v", err)
	}

	j, err := runOne(t, answering(func(*call.Request) (string, error) { return `{"funcs":1,"words":2}`, nil }), calm)
	if err == nil || !strings.Contains(err.Error(), "a.go") {
		t.Errorf("wrong answers: %v", err)
	}
	var out strings.Builder
	report(&out, j, &system{killed: "w"}, 0)
	if !strings.Contains(out.String(), "differs") {
		t.Errorf("the table hides it:\n%s", &out)
	}

	var tries atomic.Int64
	_, err = runOne(t, answering(func(req *call.Request) (string, error) {
		if tries.Add(1) < 3 {
			return "", &call.Error{Code: call.CodeDisconnected, Sent: true, Retryable: true}
		}
		return right(req)
	}), calm)
	if err != nil || tries.Load() != 4 { // two calls, two repeats
		t.Errorf("a lost spoke: %v after %d tries", err, tries.Load())
	}

	_, err = runOne(t, answering(func(*call.Request) (string, error) { return "", &call.Error{Code: call.CodeExecution} }), calm)
	if !errors.Is(err, call.CodeExecution) {
		t.Errorf("what may not be repeated: %v", err)
	}
	broken := errors.New("broken")
	if _, err = runOne(t, answering(right), func(context.Context) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("no other spoke: %v", err)
	}
}
