package workload_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/bench/contender"
	"github.com/alkdev/hubspoke/bench/workload"
)

// echoCaller answers in the process; answer may spoil a reply.
type echoCaller struct {
	mu     sync.Mutex
	seen   map[string]bool
	answer func(n int, payload []byte) ([]byte, error)
	closed bool
}

func (e *echoCaller) Call(_ context.Context, payload []byte) ([]byte, error) {
	e.mu.Lock()
	e.seen[string(payload)] = true
	n := len(e.seen)
	e.mu.Unlock()
	return e.answer(n, bytes.Clone(payload))
}

func (e *echoCaller) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	return nil
}

func calling(answer func(n int, payload []byte) ([]byte, error)) (*echoCaller, contender.Contender) {
	e := &echoCaller{seen: map[string]bool{}, answer: answer}
	return e, contender.Contender{Name: "echo", Call: func(contender.Setup) (contender.Caller, error) { return e, nil }}
}

func TestCalls(t *testing.T) {
	calls := 0
	e, c := calling(func(n int, payload []byte) ([]byte, error) { return payload, nil })
	p := workload.Params{InFlight: 8, Bytes: 200, Duration: 20 * time.Millisecond}
	r, err := workload.Call(t.Context(), c, contender.Setup{}, p)
	if err != nil {
		t.Fatal(err)
	}
	for _, figure := range []string{workload.P50, workload.P99, workload.Rate, workload.Mallocs} {
		if r[figure] <= 0 {
			t.Errorf("%s is %v", figure, r[figure])
		}
	}
	if r[workload.P99] < r[workload.P50] {
		t.Errorf("p99 %v is less than p50 %v", r[workload.P99], r[workload.P50])
	}
	if _, found := r[workload.Redis]; found {
		t.Error("commands of a Redis were counted that is not there")
	}
	for payload := range e.seen {
		if len(payload) != p.Bytes {
			t.Fatalf("a payload has %d bytes, want %d", len(payload), p.Bytes)
		}
		calls++
	}
	if want := r[workload.Rate] * p.Duration.Seconds(); float64(calls) < want {
		t.Errorf("%d different payloads, want at least the %.0f calls that were measured", calls, want)
	}
	if !e.closed {
		t.Error("the caller was not closed")
	}
}

func TestCallsWithWrongReplies(t *testing.T) {
	broken := errors.New("broken")
	for name, answer := range map[string]func(int, []byte) ([]byte, error){
		"another byte": func(_ int, b []byte) ([]byte, error) { b[len(b)-3] ^= 1; return b, nil },
		"cut":          func(_ int, b []byte) ([]byte, error) { return b[:len(b)-1], nil },
		"nothing":      func(int, []byte) ([]byte, error) { return nil, nil },
		"an error":     func(int, []byte) ([]byte, error) { return nil, broken },
	} {
		t.Run(name, func(t *testing.T) {
			_, c := calling(func(n int, payload []byte) ([]byte, error) {
				if n < 100 {
					return payload, nil
				}
				return answer(n, payload)
			})
			p := workload.Params{InFlight: 2, Bytes: 128, Duration: time.Minute}
			_, err := workload.Call(t.Context(), c, contender.Setup{}, p)
			if err == nil || !strings.Contains(err.Error(), "call ") {
				t.Errorf("it ended with %v", err)
			}
			if name == "an error" && !errors.Is(err, broken) {
				t.Errorf("it ended with %v", err)
			}
		})
	}
}

// A contender that never answers does not hold up a run that is given up.
func TestCallsWithoutReplies(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped")
	release := make(chan struct{})
	defer close(release)
	e, c := calling(func(int, []byte) ([]byte, error) {
		cancel(stopped)
		<-release
		return nil, stopped
	})
	_, err := workload.Call(ctx, c, contender.Setup{}, workload.Params{InFlight: 2, Bytes: 128, Duration: time.Minute})
	if !errors.Is(err, stopped) || !e.closed {
		t.Errorf("it ended with %v, closed %v", err, e.closed)
	}
}

func TestCallsOfWhatCannot(t *testing.T) {
	for name, run := range map[string]workload.Run{"Call": workload.Call, "Route": workload.Route, "Across": workload.Across} {
		if _, err := run(t.Context(), contender.Contender{Name: "nothing"}, contender.Setup{}, workload.Params{Duration: 1}); err == nil {
			t.Errorf("%s measured what is not there", name)
		}
	}
}
