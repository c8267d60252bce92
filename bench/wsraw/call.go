package wsraw

import (
	"context"
	"errors"
	"sync"

	"github.com/coder/websocket"

	"github.com/alkdev/hubspoke/bench/contender"
	"github.com/alkdev/hubspoke/bench/slots"
)

// inFlight is more than any measurement has in flight.
const inFlight = 8192

// caller makes calls on a connection whose other end, near or far, echoes.
type caller struct {
	conn   *websocket.Conn
	slots  *slots.Slots
	server *Server
	others []*websocket.Conn
	wg     sync.WaitGroup
}

// Call is W1.
func Call(s contender.Setup) (contender.Caller, error) {
	server, err := Listen(s)
	if err != nil {
		return nil, err
	}
	near, far, err := server.Connect()
	if err != nil {
		return nil, errors.Join(err, server.Close())
	}
	c := &caller{conn: near, slots: slots.New(inFlight), server: server, others: []*websocket.Conn{far}}
	c.wg.Go(c.read)
	c.wg.Go(func() { Copy(far, far) })
	return c, nil
}

// Route is W2: caller and callee are clients, and the server copies between them.
func Route(s contender.Setup) (contender.Caller, error) {
	server, err := Listen(s)
	if err != nil {
		return nil, err
	}
	toCaller, near, err := server.Connect()
	if err != nil {
		return nil, errors.Join(err, server.Close())
	}
	toCallee, far, err := server.Connect()
	if err != nil {
		return nil, errors.Join(err, near.CloseNow(), server.Close())
	}
	c := &caller{conn: near, slots: slots.New(inFlight), server: server, others: []*websocket.Conn{toCaller, toCallee, far}}
	c.wg.Go(c.read)
	c.wg.Go(func() { Copy(toCaller, toCallee) })
	c.wg.Go(func() { Copy(toCallee, toCaller) })
	c.wg.Go(func() { Copy(far, far) })
	return c, nil
}

// read hands replies out until the connection ends.
func (c *caller) read() {
	defer c.slots.Fail()
	var buf []byte
	for {
		var err error
		if buf, err = Read(c.conn, buf); err != nil {
			return
		}
		if err := c.slots.Deliver(buf); err != nil {
			return
		}
	}
}

// Call leaves ctx alone: a floor has no cancellation.
func (c *caller) Call(_ context.Context, payload []byte) ([]byte, error) {
	slot, frame, err := c.slots.Take(payload)
	if err != nil {
		return nil, err
	}
	if err := Write(c.conn, frame); err != nil {
		return nil, err
	}
	return c.slots.Wait(slot)
}

func (c *caller) Close() error {
	_ = c.conn.CloseNow() // it may have ended already
	for _, other := range c.others {
		_ = other.CloseNow()
	}
	err := c.server.Close()
	c.wg.Wait()
	return err
}
