package spoke_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/spoke"
	"github.com/alkdev/hubspoke/transport"
)

// door leads a spoke to a hub in memory, which may be replaced, and has both ends of the
// connection of the moment in hand.
type door struct {
	t  *testing.T
	wg sync.WaitGroup

	mu         sync.Mutex // guards the fields below
	hub        *hub.Hub   // nil: no route
	spokeEnd   transport.Conn
	hubEnd     transport.Conn
	identities string
}

func newDoor(t *testing.T, o *hub.Options) *door {
	d := &door{t: t, identities: call.Anonymous}
	d.open(o)
	t.Cleanup(func() {
		d.shut()
		d.wg.Wait()
	})
	return d
}

// open puts a new hub behind the door.
func (d *door) open(o *hub.Options) {
	opts := hub.Options{}
	if o != nil {
		opts = *o
	}
	opts.AllowAnonymous = true
	h, err := hub.New(&opts)
	if err != nil {
		d.t.Fatal(err)
	}
	d.lead(h)
	d.t.Cleanup(func() {
		if err := h.Shutdown(context.Background()); err != nil {
			d.t.Error(err)
		}
	})
}

// lead makes dials go to this hub; nil is none.
func (d *door) lead(h *hub.Hub) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hub = h
}

func (d *door) theHub() *hub.Hub {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.hub
}

// shut refuses dials.
func (d *door) shut() { d.lead(nil) }

func (d *door) Dial(context.Context, string, http.Header) (transport.Conn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	h := d.hub
	if h == nil {
		return nil, errors.New("no route")
	}
	d.spokeEnd, d.hubEnd = transport.Pipe(nil)
	end := d.hubEnd
	d.wg.Go(func() { h.Accept(end, &call.Identity{ID: d.identities}) })
	return d.spokeEnd, nil
}

func (d *door) ends() (spokeEnd, hubEnd transport.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.spokeEnd, d.hubEnd
}

// cut drops the connection at both ends.
func (d *door) cut() {
	a, b := d.ends()
	a.Abort()
	b.Abort()
}

// spoke runs a spoke through the door until the test ends.
func (d *door) spoke(id string, o *spoke.Options, operations func(*call.Registry)) *spoke.Spoke {
	opts := spoke.Options{}
	if o != nil {
		opts = *o
	}
	opts.ID, opts.Dialer = id, d
	s, err := spoke.New("ws://hub.test/", &opts)
	if err != nil {
		d.t.Fatal(err)
	}
	if operations != nil {
		operations(s.Operations())
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Run(ctx) }()
	d.t.Cleanup(func() { cancel(); <-done })
	if err := s.Ready(d.t.Context()); err != nil {
		d.t.Fatal(err)
	}
	return s
}
