package peer

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/alkdev/hubspoke/internal/session"
	"github.com/alkdev/hubspoke/transport"
)

// A handler that returns quickly runs on the goroutine that reads the connection, which saves the start of a goroutine for
// each call. Since that goroutine must not wait for a handler, reading, and writing what is unflushed, is taken over where one
// turns out to be slow: a new goroutine continues, and the former one ends with its handler.
const (
	// An operation whose last handlers, quickRuns at first, each took less than quickTime runs on the reader.
	quickTime = 10 * time.Microsecond
	quickRuns = 3
	// One whose handler was taken over from needs moreRuns times as many in a row, at most maxRuns: one that is quick only
	// mostly soon stays on goroutines.
	moreRuns = 16
	maxRuns  = 1 << 20
	// After a handler that was taken over from, or took slowTime there, as one that the scheduler has interrupted does too, no
	// handler at all runs there for pauses times as long, so that they cost a connection one part in a hundred of its time.
	slowTime = 100 * time.Microsecond
	pauses   = 100
	// watchPeriod is how often handlers on the reader are looked at. One that is found twice is taken over from.
	watchPeriod = 10 * time.Millisecond
	// maxPaces bounds the operations that are remembered.
	maxPaces = 256
)

// pace is how quickly the handlers of an operation return. Concurrent changes may be lost.
type pace struct {
	runs  atomic.Int32 // how many were quick in a row
	needs atomic.Int32 // how many must have been
}

func (p *pace) quick() bool { return p.runs.Load() >= p.needs.Load() }

// slow notes that a handler was taken over from.
func (p *pace) slow() {
	p.runs.Store(0)
	p.needs.Store(min(p.needs.Load()*moreRuns, maxRuns))
}

// took notes how long a handler took.
func (p *pace) took(d time.Duration) {
	if d >= quickTime {
		p.runs.Store(0)
	} else if n := p.runs.Load(); n < maxRuns {
		p.runs.Store(n + 1)
	}
}

// paceOf returns the pace of an operation, nil where no handler runs on the reader. It is for the reader.
func (p *Peer) paceOf(operation string) *pace {
	if p.paces == nil {
		return nil
	}
	c := p.paces[operation]
	if c == nil {
		if len(p.paces) >= maxPaces {
			clear(p.paces)
		}
		c = new(pace)
		c.needs.Store(quickRuns)
		p.paces[operation] = c
	}
	return c
}

// reader reads a connection and dispatches what comes. One goroutine at a time does so and has all that is the reader's
// alone; while a handler runs on it, another may take over.
type reader struct {
	peer    *Peer
	conn    transport.Conn
	ended   chan error               // receives why the connection ended
	running atomic.Pointer[Incoming] // the request whose handler runs on the reader; who sets it to nil continues to read

	// The watch finds handlers that do not return. It sleeps while none runs.
	begun    atomic.Uint64 // handlers that have begun on the reader
	watching atomic.Bool
	timer    *time.Timer // the reader's; nil before the first handler
	seen     uint64      // begun when the watch looked last; the watch's
}

// errExited ends a connection whose reader a listener has ended.
var errExited = errors.New("a listener ended the goroutine that reads with runtime.Goexit")

// Run reads from the connection until it ends and dispatches what comes. It returns why the connection ended; it does not
// end the session. Every handler runs on a goroutine of its own.
func (p *Peer) Run(conn transport.Conn) error {
	r := &reader{peer: p, conn: conn}
	return r.read(new(bool))
}

// Start is Run on goroutines of its own, on which handlers that return quickly also run. It returns a channel that receives
// why the connection ended.
func (p *Peer) Start(conn transport.Conn) <-chan error {
	if p.paces == nil {
		p.paces = make(map[string]*pace)
	}
	r := &reader{peer: p, conn: conn, ended: make(chan error, 1)}
	go r.loop()
	return r.ended
}

// loop reads until the connection ends or another goroutine has taken over.
func (r *reader) loop() {
	err, takenOver := errExited, false
	defer func() {
		if takenOver {
			return
		}
		if r.timer != nil {
			r.timer.Stop()
		}
		r.ended <- err
	}()
	err = r.read(&takenOver)
}

// read reads until the connection ends, or sets takenOver because another goroutine reads.
func (r *reader) read(takenOver *bool) error {
	p := r.peer
	for {
		p.handling.Store(false)
		data, err := p.unflushed.read(r.conn)
		if err != nil {
			p.unflushed.flush()
			return err
		}
		p.handling.Store(true)
		if in := p.received(r.conn, data); in != nil {
			if r.serve(in, takenOver); *takenOver {
				return nil
			}
		}
	}
}

// serve runs a handler on the reader, and sets takenOver if another goroutine reads by then.
func (r *reader) serve(in *Incoming, takenOver *bool) {
	r.peer.unflushed.flushOld()
	in.reader, in.started = r, time.Now()
	r.begun.Add(1)
	r.running.Store(in)
	r.watch()
	returned := false
	defer func() {
		if !returned { // runtime.Goexit ends this goroutine
			*takenOver = true
			r.takeOver(in)
		}
	}()
	in.run()
	returned = true
	if !r.running.CompareAndSwap(in, nil) {
		*takenOver = true
		return
	}
	if d := time.Since(in.started); d >= slowTime {
		r.pause(d)
	}
	if in.unwritten.Swap(false) {
		r.peer.unflushed.add(r.peer.sess)
	}
}

// takeOver continues to read on a new goroutine, if the request's handler runs on the reader. Who is about to wait in a
// handler calls it first.
func (r *reader) takeOver(in *Incoming) {
	if !r.running.CompareAndSwap(in, nil) {
		return
	}
	in.pace.slow()
	r.pause(time.Since(in.started))
	if in.unwritten.Swap(false) {
		r.peer.unflushed.add(r.peer.sess)
	}
	go r.loop() // it ends with the connection
}

// pause keeps handlers off the reader, on which one has taken d.
func (r *reader) pause(d time.Duration) {
	r.peer.pausedUntil = time.Now().Add(pauses * d)
}

// watch starts the watch, if it sleeps.
func (r *reader) watch() {
	if r.watching.Load() || !r.watching.CompareAndSwap(false, true) {
		return
	}
	if r.timer == nil {
		r.timer = time.AfterFunc(time.Hour, r.look) // look uses timer, so it is set first
	}
	r.timer.Reset(watchPeriod)
}

// look takes over from a handler that ran when it looked last.
func (r *reader) look() {
	in, begun := r.running.Load(), r.begun.Load()
	switch {
	case begun != r.seen: // others have begun since
		r.seen = begun
	case in != nil:
		r.takeOver(in)
	default:
		r.watching.Store(false)
		if r.running.Load() == nil || !r.watching.CompareAndSwap(false, true) { // the next handler starts it, or has
			return
		}
	}
	r.timer.Reset(watchPeriod)
}

// answerHere queues the last frame of a request whose handler runs on the reader, which writes it with those of the
// requests that came together. It returns false, and another goroutine reads, if that would have to wait.
func (in *Incoming) answerHere(b *session.Buffer) bool {
	r := in.reader
	if r == nil || r.running.Load() != in {
		return false
	}
	_, ok, ready := in.peer.sess.TryAppend(session.Response, b, in)
	if !ok {
		r.takeOver(in)
		return false
	}
	if ready {
		in.unwritten.Store(true)
		if r.running.Load() != in && in.unwritten.Swap(false) { // taken over from, which may have been too early to see it
			in.peer.sess.FlushReady()
		}
	}
	return true
}

// yield lets another goroutine read, if the handler of in runs on the reader and is about to wait. in may be nil.
func (in *Incoming) yield() {
	if in != nil && in.reader != nil {
		in.reader.takeOver(in)
	}
}
