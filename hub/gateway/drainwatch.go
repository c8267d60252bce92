package gateway

import (
	"context"
	"sync"
	"time"
)

// drainWatch ends the event streams when the hub begins to drain: the server that the gateway is
// mounted on would wait for them for ever. One goroutine looks for all of them and lives only
// while there are any; it looks, since the hub does not tell.
type drainWatch struct {
	draining func() bool

	mu      sync.Mutex // guards the fields below
	streams map[*context.CancelFunc]struct{}
	stop    context.CancelFunc // of the goroutine; nil while there is none
}

const drainLook = 200 * time.Millisecond

// add has cancel called when the hub drains, until remove is called.
func (d *drainWatch) add(cancel context.CancelFunc) (remove func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.streams == nil {
		d.streams = make(map[*context.CancelFunc]struct{})
	}
	key := &cancel
	d.streams[key] = struct{}{}
	if d.stop == nil {
		var ctx context.Context
		ctx, d.stop = context.WithCancel(context.Background())
		go d.watch(ctx) // ends when the last stream is removed, or the hub drains
	}
	return func() { d.remove(key) }
}

func (d *drainWatch) remove(key *context.CancelFunc) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.streams, key)
	if len(d.streams) == 0 && d.stop != nil {
		d.stop()
		d.stop = nil
	}
}

func (d *drainWatch) watch(ctx context.Context) {
	tick := time.NewTicker(drainLook)
	defer tick.Stop()
	for !d.draining() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for cancel := range d.streams {
		(*cancel)() // takes no lock of ours: what waits on the context runs on goroutines of its own
	}
	if ctx.Err() == nil {
		d.stop()
		d.stop = nil
	}
}
