package hub

import (
	"context"
	"fmt"
	"sync"

	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/transport"
)

// MemoryLinks are the Links of hubs in one process. The zero value is ready.
type MemoryLinks struct {
	mu   sync.Mutex // guards the field below
	hubs map[string]*memoryEnd
}

type memoryEnd struct {
	accept func(string, transport.Conn)
	wg     sync.WaitGroup // calls of accept

	mu   sync.Mutex // guards the field below
	left bool
}

var _ Links = (*MemoryLinks)(nil)

// NewMemoryBackplane joins hubs of one process: give it to each of them.
func NewMemoryBackplane() *Backplane {
	return &Backplane{Events: &pubsub.Local{}, Directory: &MemoryDirectory{}, Links: &MemoryLinks{}}
}

// Join implements [Links].
func (l *MemoryLinks) Join(hubID string, accept func(string, transport.Conn)) (func(), error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hubs[hubID] != nil {
		return nil, ErrHubIDInUse
	}
	if l.hubs == nil {
		l.hubs = make(map[string]*memoryEnd)
	}
	e := &memoryEnd{accept: accept}
	l.hubs[hubID] = e
	return func() { l.leave(hubID, e) }, nil
}

func (l *MemoryLinks) leave(hubID string, e *memoryEnd) {
	l.mu.Lock()
	if l.hubs[hubID] == e {
		delete(l.hubs, hubID)
	}
	l.mu.Unlock()
	e.mu.Lock()
	e.left = true
	e.mu.Unlock()
	e.wg.Wait()
}

// Dial implements [Links]. A hub that is not there is an error at once.
func (l *MemoryLinks) Dial(_ context.Context, from, to string) (transport.Conn, error) {
	l.mu.Lock()
	mine, theirs := l.hubs[from], l.hubs[to]
	l.mu.Unlock()
	if mine == nil || theirs == nil {
		return nil, fmt.Errorf("no hub %q is joined", to)
	}
	a, b := transport.Pipe(&transport.PipeOptions{BufferBytes: 1 << 20, MaxMessageBytes: linkMessageBytes})
	if !theirs.take(from, b) {
		a.Abort()
		b.Abort()
		return nil, fmt.Errorf("hub %q has left", to)
	}
	return a, nil
}

func (e *memoryEnd) take(from string, c transport.Conn) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.left {
		e.wg.Go(func() { e.accept(from, c) })
	}
	return !e.left
}
