package wsraw

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"sync"

	"github.com/coder/websocket"

	"github.com/alkdev/hubspoke/bench/contender"
	"github.com/alkdev/hubspoke/bench/slots"
)

// connection is a client that has registered.
type connection struct {
	conn *websocket.Conn
	wg   sync.WaitGroup
}

// Dial connects, sends the client's number and waits until it comes back: from then on publishes reach it.
func Dial(ctx context.Context, s contender.Setup, c contender.Client) (contender.Connection, error) {
	conn, err := dial(ctx, s, s.Addr)
	if err != nil {
		return nil, err
	}
	registration := binary.LittleEndian.AppendUint32(nil, uint32(c.Number))
	if err := Write(conn, registration); err != nil {
		return nil, errors.Join(err, conn.CloseNow())
	}
	answer, err := Read(conn, nil)
	if err != nil {
		return nil, errors.Join(err, conn.CloseNow())
	}
	if !bytes.Equal(answer, registration) {
		return nil, errors.Join(errors.New("wsraw: another answer to the registration"), conn.CloseNow())
	}
	client := &connection{conn: conn}
	client.wg.Go(func() { client.read(c.Deliver) })
	return client, nil
}

// read takes what is published and echoes the rest.
func (c *connection) read(deliver func([]byte)) {
	var buf []byte
	for {
		var err error
		if buf, err = Read(c.conn, buf); err != nil {
			return
		}
		if payload, ok := slots.Published(buf); ok {
			deliver(payload)
			continue
		}
		if err := Write(c.conn, buf); err != nil {
			return
		}
	}
}

func (c *connection) Close() error {
	_ = c.conn.CloseNow() // the server may have ended it
	c.wg.Wait()
	return nil
}
