package centrifuge

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"sync"
)

// An envelope is {"id":N,"data":P}: the payload, which is JSON, with the number of the call that it belongs to.
const (
	before  = `{"id":`
	between = `,"data":`
	after   = `}`
)

func wrap(id uint64, payload []byte) []byte {
	b := make([]byte, 0, len(before)+20+len(between)+len(payload)+len(after))
	b = append(b, before...)
	b = strconv.AppendUint(b, id, 10)
	b = append(b, between...)
	b = append(b, payload...)
	return append(b, after...)
}

func unwrap(b []byte) (id uint64, payload []byte, err error) {
	head, rest, ok := bytes.Cut(b, []byte(between))
	if !ok || !bytes.HasPrefix(head, []byte(before)) || !bytes.HasSuffix(rest, []byte(after)) {
		return 0, nil, errors.New("centrifuge: not an envelope")
	}
	id, err = strconv.ParseUint(string(head[len(before):]), 10, 64)
	return id, rest[:len(rest)-len(after)], err
}

// calls are those that wait for an answer, each by its number.
type calls struct {
	mu      sync.Mutex
	last    uint64
	waiting map[uint64]func([]byte)
}

// add has answer called, at most once, with what comes back under the number.
func (c *calls) add(answer func([]byte)) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting == nil {
		c.waiting = make(map[uint64]func([]byte))
	}
	c.last++
	c.waiting[c.last] = answer
	return c.last
}

func (c *calls) take(id uint64) func([]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	answer := c.waiting[id]
	delete(c.waiting, id)
	return answer
}

// answered takes an envelope that came back. One that nothing waits for is late, and dropped.
func (c *calls) answered(b []byte) {
	id, payload, err := unwrap(b)
	if err != nil {
		return
	}
	if answer := c.take(id); answer != nil {
		answer(payload)
	}
}

// do sends the payload in an envelope and waits for what comes back.
func (c *calls) do(ctx context.Context, payload []byte, send func(envelope []byte) error) ([]byte, error) {
	back := make(chan []byte, 1)
	id := c.add(func(b []byte) { back <- b })
	defer func() { c.take(id) }()
	if err := send(wrap(id, payload)); err != nil {
		return nil, err
	}
	select {
	case reply := <-back:
		return reply, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
