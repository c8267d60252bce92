package transport

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// PipeOptions tunes Pipe. The zero value is usable.
type PipeOptions struct {
	// BufferBytes is how much may wait in each direction before Write blocks; a
	// message counts with 14 bytes more than its length. A single Write may
	// go over it and then waits until the rest fits. 0 means 64 KiB.
	BufferBytes int
	// MaxMessageBytes is the largest message that either end announces to
	// take; the limit in force is 64 KiB higher. 0 means 1 MiB.
	MaxMessageBytes int64
	// Linger is for how long no byte may cross, in either direction, while Close waits for the other
	// end's answer; in all it waits at most 30 s. 0 means 1 s.
	Linger time.Duration
	// BytesPerSecondToA and BytesPerSecondToB limit the bytes per second that cross to either end,
	// control frames included. The bytes cross in steps of a twentieth of a second, at most BufferBytes
	// ahead of a reader. 0 means no limit.
	BytesPerSecondToA, BytesPerSecondToB int
}

// Pipe returns two Conns joined in memory; nil options are the zero value. Both
// can Ping. Nothing of it runs by itself but the linger timer and, with a limited rate, the
// timer that moves the bytes, so it can be used inside a synctest bubble, where a slow link costs no
// time. What was written before an Abort can still be read at the other end. Negative options panic.
func Pipe(o *PipeOptions) (a, b Conn) {
	if o == nil {
		o = &PipeOptions{}
	}
	lim, err := newLimits(o.MaxMessageBytes, 0, o.Linger)
	if err != nil || o.BufferBytes < 0 || o.BytesPerSecondToA < 0 || o.BytesPerSecondToB < 0 {
		panic(fmt.Sprintf("transport.Pipe: bad options: %+v", *o))
	}
	buffer := o.BufferBytes
	if buffer == 0 {
		buffer = 64 << 10
	}
	mu, now := new(sync.Mutex), time.Now()
	x := &pipeEnd{mu: mu, limits: lim, buffer: buffer, last: now, remote: "pipe:b", rate: o.BytesPerSecondToA}
	y := &pipeEnd{mu: mu, limits: lim, buffer: buffer, last: now, remote: "pipe:a", rate: o.BytesPerSecondToB}
	for _, e := range []*pipeEnd{x, y} {
		e.readable.L, e.room.L = mu, mu
	}
	x.peer, y.peer = y, x
	return x, y
}

// pipeOverhead is what a message counts beyond its length, so that empty ones
// are bounded too.
const pipeOverhead = 14

type pipeItem struct {
	kind byte // one of the opcodes
	data *[]byte
	end  *CloseError // for opClose
}

// pipeEnd is one end of a Pipe.
type pipeEnd struct {
	// Fixed at construction.
	mu     *sync.Mutex // one for both ends
	peer   *pipeEnd
	limits limits
	buffer int
	remote string
	rate   int // bytes per second to this end; 0 is no limit

	// mu guards the fields below.
	in       []pipeItem // has arrived, not yet read
	inBytes  int        // of the peer's buffer in use
	transit  transit    // where the rate is limited: on its way
	reading  bool       // a Read is in progress
	readable sync.Cond  // in is not empty, or the end has come
	room     sync.Cond  // inBytes fell, or the end has come
	pinged   bool       // a ping is in the queue
	ponged   bool       // a pong is in the queue
	held     *[]byte    // what Read returned last
	meter    Meter
	last     time.Time
	flowed   time.Time   // when bytes last crossed in either direction
	closing  *CloseError // this end called Close
	linger   *time.Timer // runs from Close to the end
	end      error       // what Read returns from now on
}

func (e *pipeEnd) Read() ([]byte, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	putBuffer(e.held)
	e.held = nil
	e.startReading()
	defer func() { e.reading = false }()
	for e.end == nil {
		if len(e.in) == 0 {
			if e.peer.end != nil && len(e.transit.items) == 0 {
				e.finish(lost(io.EOF))
				break
			}
			e.readable.Wait()
			continue
		}
		if data := e.take(); data != nil {
			e.held = data
			return *data, nil
		}
	}
	return nil, e.end
}

func (e *pipeEnd) TryRead() (msg []byte, ok bool, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	putBuffer(e.held)
	e.held = nil
	for e.end == nil && len(e.in) > 0 {
		if data := e.take(); data != nil {
			e.held = data
			return *data, true, nil
		}
	}
	return nil, false, e.end
}

// take handles the first item of the queue; it returns the message, if it is
// one for the reader.
func (e *pipeEnd) take() *[]byte {
	item := e.in[0]
	e.in = e.in[1:]
	if len(e.in) == 0 {
		e.in = nil
	}
	e.last = time.Now()
	e.flowed, e.peer.flowed = e.last, e.last
	e.count(item)
	switch item.kind {
	case opText:
		e.taken(item)
		if e.closing == nil && len(*item.data) > e.limits.maxMessage {
			e.startClose(CloseMessageTooBig, "message too big")
		}
		if e.closing == nil {
			return item.data
		}
		putBuffer(item.data)
	case opPing:
		e.pinged = false
		if e.closing == nil && !e.peer.ponged {
			e.peer.ponged = e.peer.put(pipeItem{kind: opPong})
		}
	case opPong:
		e.ponged = false
	case opClose:
		if e.closing == nil {
			e.peer.put(item) // the answer
			e.finish(item.end)
		} else {
			e.finish(e.closing)
		}
	}
	return nil
}

// count reports an item to the meter, and closes if that returns false.
func (e *pipeEnd) count(item pipeItem) {
	n := 0
	if item.kind == opText {
		n = len(*item.data)
	}
	if e.meter == nil || e.meter.Received(1, n) {
		return
	}
	e.meter = nil
	if e.closing == nil {
		e.startClose(CloseRateLimit, "rate limit exceeded")
	}
}

// put queues an item for this end's reader; false if the end has come.
func (e *pipeEnd) put(item pipeItem) bool {
	if e.end != nil {
		return false
	}
	if e.rate > 0 {
		e.transit.items = append(e.transit.items, item)
		e.move()
		return true
	}
	e.in = append(e.in, item)
	e.readable.Signal()
	return true
}

func (e *pipeEnd) Write(messages [][]byte) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.refusal(); err != nil {
		return err
	}
	e.send(messages)
	for e.peer.inBytes > e.buffer {
		if e.end != nil {
			return e.end
		}
		if e.peer.end != nil {
			return lost(io.ErrClosedPipe)
		}
		e.peer.room.Wait()
	}
	return nil
}

func (e *pipeEnd) TryWrite(messages [][]byte) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	total := e.peer.inBytes
	for _, m := range messages {
		total += len(m) + pipeOverhead
	}
	if e.refusal() != nil || total > e.buffer {
		return false
	}
	e.send(messages)
	return true
}

func (e *pipeEnd) send(messages [][]byte) {
	for _, m := range messages {
		data := getBuffer(len(m))
		*data = append(*data, m...)
		e.peer.inBytes += len(m) + pipeOverhead
		e.peer.put(pipeItem{kind: opText, data: data})
	}
}

// refusal is why nothing may be sent, nil if it may.
func (e *pipeEnd) refusal() error {
	switch {
	case e.end != nil:
		return e.end
	case e.closing != nil:
		return e.closing
	case e.peer.end != nil:
		return lost(io.ErrClosedPipe)
	}
	return nil
}

func (e *pipeEnd) Ping() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.refusal(); err != nil {
		return err
	}
	if !e.peer.pinged { // one unread is question enough
		e.peer.pinged = e.peer.put(pipeItem{kind: opPing})
	}
	return nil
}

func (e *pipeEnd) Close(code CloseCode, reason string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.end == nil && e.closing == nil {
		e.startClose(code, reason)
	}
}

func (e *pipeEnd) startClose(code CloseCode, reason string) {
	e.closing = newClose(code, reason)
	e.peer.put(pipeItem{kind: opClose, end: &CloseError{Code: e.closing.Code, Reason: e.closing.Reason, Remote: true}})
	began := time.Now()
	e.linger = time.AfterFunc(e.limits.linger, func() { e.endIfQuiet(began) })
}

// endIfQuiet ends this end if no byte has crossed for the linger time since the close began.
func (e *pipeEnd) endIfQuiet(began time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.end != nil {
		return
	}
	if wait := e.limits.untilQuiet(e.limits.linger, began, e.flowed); wait > 0 {
		e.linger.Reset(wait)
		return
	}
	e.finish(e.closing)
}

func (e *pipeEnd) Abort() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.finish(lost(errAborted))
}

// finish ends this end; the other one finds out when it has read what is left.
// The first error wins, and a Close that was begun wins over all.
func (e *pipeEnd) finish(err error) {
	if e.end != nil {
		return
	}
	if e.closing != nil {
		err = e.closing
	}
	e.end = err
	if e.linger != nil {
		e.linger.Stop()
	}
	for _, item := range e.in {
		putBuffer(item.data)
	}
	e.in = nil
	e.transit.drop()
	e.readable.Broadcast()
	e.room.Broadcast()
	e.peer.readable.Broadcast()
	e.peer.room.Broadcast()
}

func (e *pipeEnd) LastReceived() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.last
}

func (e *pipeEnd) WholeMessages() bool { return false }
func (e *pipeEnd) RemoteAddr() string  { return e.remote }

func (e *pipeEnd) SetMeter(m Meter) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.meter = m
}
