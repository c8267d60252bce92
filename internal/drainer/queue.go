// Package drainer has a queue that one goroutine empties. The goroutine exists only while there are items.
package drainer

import (
	"errors"
	"sync"
)

// What Add and TryAdd return for an item that they refuse.
var (
	ErrFull   = errors.New("drainer: the queue is full")
	ErrClosed = errors.New("drainer: the queue is closed")
)

// Handler handles the items of a [Queue].
type Handler[T any] interface {
	// Handle handles the next items, in the order in which they were added. The queue makes one call at a time, on its own
	// goroutine and with no lock held. Handle may block and add items. It must not keep the slice, nor call
	// [Queue.Close], which waits for it. If it ends its goroutine with [runtime.Goexit], the queue continues on another one.
	Handle(items []T)
}

// Options configure a queue.
type Options struct {
	// Limit bounds the sizes of the items of TryAdd that wait or are being handled, in a unit of the owner's choice, such
	// as items or bytes. A queue that only Add fills needs none.
	Limit int
	// Batch is how many items one call of Handle handles at most; 0 is 1.
	Batch int
}

// Queue is a queue, first in first out, whose items a [Handler] handles. Make one with [New]. A goroutine starts with the
// first item and ends when none is left, so that an empty queue costs no goroutine. All methods may be called
// concurrently, and from the handler, except Close.
type Queue[T any] struct {
	handler   Handler[T]
	opts      Options
	goroutine sync.WaitGroup // one while running
	batch     []T            // what is being handled; the goroutine's

	mu      sync.Mutex // guards the fields below
	items   []item[T]
	head    int // items[:head] have been taken
	size    int // of items, and of batch
	taken   int // of batch
	running bool
	closed  bool
}

type item[T any] struct {
	value T
	size  int
}

// keptItems is how much room an empty queue keeps.
const keptItems = 1024

// New returns an empty queue.
func New[T any](h Handler[T], o Options) *Queue[T] {
	o.Batch = max(o.Batch, 1)
	return &Queue[T]{handler: h, opts: o}
}

// Add adds a value whatever waits: something else must bound how many there are. It never waits. It
// returns ErrClosed after Close.
func (q *Queue[T]) Add(value T) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.addLocked(item[T]{value: value})
}

// TryAdd adds a value of the size unless that would exceed the limit: then it returns ErrFull. A value that is larger
// than the limit is added when it would be alone. It never waits. It returns ErrClosed after Close.
func (q *Queue[T]) TryAdd(value T, size int) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed && q.size > 0 && size > q.opts.Limit-q.size {
		return ErrFull
	}
	return q.addLocked(item[T]{value, size})
}

func (q *Queue[T]) addLocked(i item[T]) error {
	if q.closed {
		return ErrClosed
	}
	q.items = append(q.items, i)
	q.size += i.size
	if !q.running {
		q.running = true
		q.goroutine.Add(1)
		go q.run()
	}
	return nil
}

// run hands what waits to the handler until nothing does.
func (q *Queue[T]) run() {
	empty := false
	defer func() {
		if !empty { // the handler has called Goexit
			q.goroutine.Add(1)
			go q.run()
		}
		q.goroutine.Done()
	}()
	for q.take() {
		q.handler.Handle(q.batch)
	}
	empty = true
}

// take releases what has been handled and takes the next batch. It returns false if there is none; then the caller is no
// longer counted as running.
func (q *Queue[T]) take() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	clear(q.batch)
	q.batch = q.batch[:0]
	q.size -= q.taken
	q.taken = 0
	next := q.items[q.head:]
	next = next[:min(len(next), q.opts.Batch)]
	for _, i := range next {
		q.batch = append(q.batch, i.value)
		q.taken += i.size
	}
	clear(next)
	q.head += len(next)
	q.compactLocked()
	q.running = len(next) > 0
	return q.running
}

// compactLocked releases room, also of a queue that never is empty.
func (q *Queue[T]) compactLocked() {
	switch left := len(q.items) - q.head; {
	case left == 0:
		q.items, q.head = q.items[:0], 0
		if cap(q.items) > keptItems {
			q.items = nil
		}
		if len(q.batch) == 0 && cap(q.batch) > keptItems {
			q.batch = nil
		}
	case q.head >= keptItems && q.head >= left:
		copy(q.items, q.items[q.head:])
		clear(q.items[left:])
		q.items, q.head = q.items[:left], 0
	}
}

// Close makes the queue refuse further values and waits until those that wait have been handled and its goroutine has
// ended. It may be called any number of times.
func (q *Queue[T]) Close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.goroutine.Wait()
}
