// Package contract checks that a contender does what package contender says, so that what is measured is the
// same work for all: replies and deliveries to the byte, in order, and none missing.
package contract

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/bench/contender"
)

const (
	clients   = 20
	publishes = 50
	patience  = 60 * time.Second
)

// Check makes calls each way that c offers, and runs a server of it with clients. calls says that the server
// can call its clients.
func Check(t *testing.T, c contender.Contender, s contender.Setup, calls bool) {
	t.Helper()
	for name, open := range map[string]func(contender.Setup) (contender.Caller, error){
		"Call": c.Call, "Route": c.Route, "Across": c.Across,
	} {
		if open != nil {
			t.Run(name, func(t *testing.T) { echoes(t, s, open) })
		}
	}
	if c.Serve == nil {
		return
	}
	t.Run("Serve", func(t *testing.T) { serves(t, c, s, calls) })
	t.Run("Publish", func(t *testing.T) {
		s := s
		s.Publish = true
		serves(t, c, s, calls)
	})
}

func echoes(t *testing.T, s contender.Setup, open func(contender.Setup) (contender.Caller, error)) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	caller, err := open(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{128, 4096} {
		for _, inFlight := range []int{1, 16} {
			together(t, inFlight, func(i int) error { return echoed(ctx, caller.Call, i, size) })
		}
	}
	closed(t, caller)
}

// together runs do n times at once.
func together(t *testing.T, n int, do func(int) error) {
	t.Helper()
	done := make(chan error, n)
	for i := range n {
		go func() { done <- do(i) }()
	}
	for range n {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// echoed makes a few calls in a row, no two of which carry the same.
func echoed(ctx context.Context, call func(context.Context, []byte) ([]byte, error), who, size int) error {
	for i := range 10 {
		payload := object(who*1000+i, size)
		reply, err := call(ctx, payload)
		if err != nil {
			return fmt.Errorf("call: %w", err)
		}
		if !bytes.Equal(reply, payload) {
			return fmt.Errorf("sent %q, and %q came back", payload, reply)
		}
	}
	return nil
}

// object is a JSON object of size bytes.
func object(n, size int) []byte {
	head := fmt.Sprintf(`{"number":%d,"text":"<&>`, n)
	return []byte(head + strings.Repeat("x", size-len(head)-len(`"}`)) + `"}`)
}

// serves runs a server with clients, and has it call and publish as it can.
func serves(t *testing.T, c contender.Contender, s contender.Setup, calls bool) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	server, err := c.Serve(s)
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, server)
	s.Addr = server.Addr()

	inboxes := make([]*inbox, clients)
	connections := make([]contender.Connection, clients)
	together(t, clients, func(i int) error {
		inboxes[i] = &inbox{filled: make(chan struct{})}
		var err error
		connections[i], err = c.Dial(ctx, s, contender.Client{Number: i, Deliver: inboxes[i].deliver})
		return err
	})
	defer func() {
		for _, conn := range connections {
			if conn != nil {
				closed(t, conn)
			}
		}
	}()
	if t.Failed() {
		return
	}
	if calls {
		together(t, clients, func(i int) error {
			return echoed(ctx, func(ctx context.Context, payload []byte) ([]byte, error) {
				return server.Call(ctx, i, payload)
			}, i, 128)
		})
	}
	if s.Publish {
		published(ctx, t, server, inboxes)
	}
}

func closed(t *testing.T, c interface{ Close() error }) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func published(ctx context.Context, t *testing.T, server contender.Server, inboxes []*inbox) {
	t.Helper()
	for i := range publishes {
		if err := server.Publish(object(i, 128)); err != nil {
			t.Fatal(err)
		}
	}
	for i, in := range inboxes {
		select {
		case <-in.filled:
			if in.wrong != nil {
				t.Errorf("client %d: %v", i, in.wrong)
			}
		case <-ctx.Done():
			t.Fatalf("client %d has not got all: %v", i, ctx.Err())
		}
	}
}

// inbox is what a client got. Its fields may be read when it is filled.
type inbox struct {
	got    int
	wrong  error
	filled chan struct{}
}

func (in *inbox) deliver(payload []byte) {
	if want := object(in.got, 128); !bytes.Equal(payload, want) && in.wrong == nil {
		in.wrong = fmt.Errorf("delivery %d is %q", in.got, payload)
	}
	in.got++
	if in.got == publishes {
		close(in.filled)
	}
}
