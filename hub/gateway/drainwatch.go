package gateway

import (
	"context"
	"sync"
	"time"
)

// drainWatch ends the event streams when the hub begins to drain: the server that the gateway is
// mounted on would wait for them for ever. One goroutine looks for all of them, since the hub does
// not tell, and lives only while there are any; whoever removes the last stream joins it.
type drainWatch struct {
	draining func() bool

	mu      sync.Mutex // guards the fields below
	streams map[*context.CancelFunc]struct{}
	stop    context.CancelFunc // of the goroutine; nil while there is none
	done    chan struct{}      // closed when it has ended
}

const drainLook = 200 * time.Millisecond

// add has cancel called when the hub drains, until remove is called. A hub that drains already is
// for the caller to find out, after add.
func (d *drainWatch) add(cancel context.CancelFunc) (remove func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.streams == nil {
		d.streams = make(map[*context.CancelFunc]struct{})
	}
	key := &cancel
	d.streams[key] = struct{}{}
	if d.stop == nil {
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan struct{})
		d.stop, d.done = stop, done
		go func() {
			defer close(done)
			d.watch(ctx)
		}()
	}
	return func() { d.remove(key) }
}

func (d *drainWatch) remove(key *context.CancelFunc) {
	d.mu.Lock()
	delete(d.streams, key)
	var done chan struct{}
	if len(d.streams) == 0 && d.stop != nil {
		d.stop()
		done = d.done
		d.stop, d.done = nil, nil
	}
	d.mu.Unlock()
	if done != nil {
		<-done
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
		(*cancel)() // calls nothing of ours: what follows runs on the streams' own goroutines
	}
}
