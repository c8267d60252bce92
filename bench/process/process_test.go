package process_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/bench/contender"
	"github.com/alkdev/hubspoke/bench/process"
)

func TestMain(m *testing.M) {
	process.Main(find)
	os.Exit(m.Run())
}

// find gives a server in memory. Its name says what goes wrong.
func find(name string) (contender.Contender, bool) {
	c := contender.Contender{Name: name}
	switch name {
	case "echo", "wrong reply", "stuck":
		c.Serve = func(s contender.Setup) (contender.Server, error) { return &echo{name, s}, nil }
	case "no server":
	case "cannot start":
		c.Serve = func(contender.Setup) (contender.Server, error) { return nil, errors.New("out of luck") }
	case "chatty":
		c.Serve = func(s contender.Setup) (contender.Server, error) {
			fmt.Println(`{"error":"this is no answer"}`)
			return &echo{name, s}, nil
		}
	default:
		return c, false
	}
	return c, true
}

type echo struct {
	name  string
	setup contender.Setup
}

// Addr tells the setup that came across, for want of an address.
func (e *echo) Addr() string { return fmt.Sprint(e.setup.Operations, string(e.setup.CertPEM)) }

// Publish refuses message 7.
func (e *echo) Publish(payload []byte) error {
	if bytes.Equal(payload, process.Payload(nil, 7, len(payload))) {
		return errors.New("seven")
	}
	return nil
}

func (e *echo) Call(_ context.Context, i int, payload []byte) ([]byte, error) {
	switch {
	case e.name == "stuck":
		select {}
	case e.name == "wrong reply" && i == 3:
		return payload[1:], nil
	}
	return bytes.Clone(payload), nil
}

func (e *echo) Close() error { return nil }

func start(t *testing.T, name string) *process.Server {
	t.Helper()
	s, err := process.Start(t.Context(), name, contender.Setup{Operations: 4, CertPEM: []byte("pem")})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func stop(t *testing.T, s *process.Server) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func says(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
}

func TestServer(t *testing.T) {
	s := start(t, "echo")
	defer stop(t, s)
	if s.Addr() != "4 pem" && s.Addr() != "4pem" {
		t.Errorf("the setup came across as %q", s.Addr())
	}
	if err := s.Publish(0, 7, 128); err != nil {
		t.Error(err)
	}
	says(t, s.Publish(0, 8, 128), "message 7: seven")
	before, err := s.Stats()
	if err != nil {
		t.Fatal(err)
	}
	f, err := s.Calls(process.CallRun{Clients: 5, InFlight: 3, Bytes: 128, Duration: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	// The time is over before it begins, but not the number.
	many, err := s.Calls(process.CallRun{Clients: 5, InFlight: 3, Bytes: 128, AtLeast: 100})
	if err != nil || many.Calls < 100 || many.Calls > 103 {
		t.Errorf("%d calls, %v", many.Calls, err)
	}
	after, err := s.Collected()
	if err != nil {
		t.Fatal(err)
	}
	if f.Calls == 0 || f.P50 > f.P99 || f.Elapsed < 50*time.Millisecond || f.Used.Mallocs == 0 {
		t.Errorf("figures: %+v", f)
	}
	if used := after.Since(before.Usage); !used.HasCPU || used.CPU <= 0 || used.Mallocs < f.Used.Mallocs {
		t.Errorf("used: %+v", used)
	}
	if !after.HasRSS || after.RSS < 1<<20 || after.Goroutines < 1 {
		t.Errorf("held: %+v", after)
	}
}

func TestCallsThatFail(t *testing.T) {
	s := start(t, "wrong reply")
	defer stop(t, s)
	_, err := s.Calls(process.CallRun{Clients: 5, InFlight: 2, Bytes: 128, Duration: time.Minute})
	says(t, err, "the reply is")
	_, err = s.Calls(process.CallRun{Duration: time.Minute})
	says(t, err, "needs clients")
}

func TestStartThatFails(t *testing.T) {
	for name, want := range map[string]string{
		"cannot start": "out of luck", "no server": "no contender", "unknown": "no contender",
	} {
		_, err := process.Start(t.Context(), name, contender.Setup{})
		says(t, err, want)
	}
}

// What a contender prints is not taken for an answer.
func TestPrinting(t *testing.T) {
	stop(t, start(t, "chatty"))
}

// A server ends with the context of the process that measures, also while a command is under way.
func TestKilled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s, err := process.Start(ctx, "stuck", contender.Setup{})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := s.Calls(process.CallRun{Clients: 1, InFlight: 1, Bytes: 128, Duration: time.Hour})
		done <- err
	}()
	cancel()
	says(t, <-done, "the server is gone")
	says(t, s.Close(), "the server is gone")
}

func TestPayload(t *testing.T) {
	for _, size := range []int{process.MinPayload, 64, 128, 4096, 1 << 20} {
		p := process.Payload(nil, 42, size)
		var v struct{ Seq, Pad string }
		if err := json.Unmarshal(p, &v); err != nil || len(p) != size || v.Seq != "0000000000000042" {
			t.Errorf("%d bytes: %.80q, %v", len(p), p, err)
		}
	}
	if bytes.Equal(process.Payload(nil, 1, 64), process.Payload(nil, 2, 64)) {
		t.Error("two messages are the same")
	}
}
