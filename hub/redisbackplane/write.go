package redisbackplane

import (
	"context"
	"time"

	"github.com/redis/rueidis"
)

// Write implements [transport.Conn]: it returns when Redis has taken the frames.
func (e *end) Write(frames [][]byte) error {
	for len(frames) > 0 {
		n, size := 1, len(frames[0])
		for n < len(frames) && size+len(frames[n])+1 <= messageBytes {
			size += len(frames[n]) + 1
			n++
		}
		seq, err := e.begin()
		if err != nil {
			return err
		}
		b := make([]byte, 0, size+256+8*n)
		b = appendFrames(appendHead(b, e.s.inbox.quoted, e.incarnation, e.other(), seq), frames[:n])
		bounded := e.spell.context(e.ctx, e.s.b.reach.timeout)
		if err := e.publish(e.ctx, bounded, seq, b); err != nil {
			return err
		}
		e.s.b.counters.frames.Add(uint64(n))
		frames = frames[n:]
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.refusalLocked()
}

// begin waits for the turn and gives the number of the next message.
func (e *end) begin() (seq uint64, err error) {
	taken := false
	select {
	case e.turn <- struct{}{}:
		taken = true
	case <-e.ctx.Done():
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	err = e.refusalLocked()
	if err == nil {
		return e.sent + 1, nil
	}
	if taken {
		<-e.turn
	}
	return 0, err
}

func (e *end) refusalLocked() error {
	switch {
	case e.err != nil:
		return e.err
	case e.closing != nil:
		return e.closing
	default:
		return e.after
	}
}

// publish sends a message with a number and gives the turn back.
func (e *end) publish(ctx, bounded context.Context, seq uint64, text []byte) error {
	b := e.s.b
	n, err := b.client.Do(bounded, b.publish(e.hubID, rueidis.BinaryString(text))).AsInt64()
	err = b.reach.judge(ctx, err)
	if err == nil && n == 0 {
		err = errNobody
	}
	b.counters.published.Add(1)
	e.mu.Lock()
	defer e.mu.Unlock()
	<-e.turn
	if err == nil {
		e.sent = seq
		e.pace.sent = time.Now()
		return nil
	}
	e.loseLocked(err)
	return e.refusalLocked()
}

// publish makes the command that sends to a hub's inbox.
func (b *Backplane) publish(hubID, text string) rueidis.Completed {
	if b.cluster {
		return b.client.B().Spublish().Channel(b.keys.inbox(hubID)).Message(text).Build()
	}
	return b.client.B().Publish().Channel(b.keys.inbox(hubID)).Message(text).Build()
}
