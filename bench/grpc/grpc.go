// Package grpc measures google.golang.org/grpc with one bidirectional stream: how a gRPC server calls clients that
// dial out to it.
//
// Messages are protobuf's BytesValue, which generated code would add nothing to: what they hold is the number of package
// slots and the payload. The client echoes on the goroutine that receives. Both ends have the defaults of gRPC, without
// TLS. A stream has no deadline, and neither have its calls.
package grpc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/alkdev/hubspoke/bench/contender"
	"github.com/alkdev/hubspoke/bench/slots"
)

// Contender is gRPC, which only W1 measures.
func Contender() contender.Contender {
	return contender.Contender{Name: "gRPC (stream)", Call: Call}
}

// inFlight is more than any measurement has in flight.
const inFlight = 8192

var errNoTLS = errors.New("grpc: not set up for TLS here")

// stream describes the method, as generated code would.
var stream = grpc.StreamDesc{
	StreamName: "Attach", ServerStreams: true, ClientStreams: true,
	Handler: func(srv any, s grpc.ServerStream) error { return srv.(*caller).serve(s) }, //nolint:forcetypeassert // registered so
}

var service = grpc.ServiceDesc{ServiceName: "bench.Hub", HandlerType: (*any)(nil), Streams: []grpc.StreamDesc{stream}}

// caller is the server with its one client.
type caller struct {
	server   *grpc.Server
	client   *grpc.ClientConn
	detach   context.CancelFunc // ends the client's stream
	slots    *slots.Slots
	attached chan grpc.ServerStream
	wg       sync.WaitGroup

	sending sync.Mutex // a stream is for one sender at a time
	spoke   grpc.ServerStream
}

// Call is W1.
func Call(s contender.Setup) (contender.Caller, error) {
	if s.TLS {
		return nil, errNoTLS
	}
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("grpc: %w", err)
	}
	c := &caller{server: grpc.NewServer(), slots: slots.New(inFlight), attached: make(chan grpc.ServerStream, 1)}
	c.server.RegisterService(&service, c)
	c.wg.Go(func() { _ = c.server.Serve(l) }) // it ends when the server is stopped
	ctx, cancel := context.WithCancel(context.Background())
	c.detach = cancel
	if err := c.dial(ctx, l.Addr().String()); err != nil {
		return nil, errors.Join(fmt.Errorf("grpc: %w", err), c.Close())
	}
	c.spoke = <-c.attached
	return c, nil
}

// dial starts the client.
func (c *caller) dial(ctx context.Context, addr string) (err error) {
	c.client, err = grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	s, err := c.client.NewStream(ctx, &stream, "/"+service.ServiceName+"/"+stream.StreamName)
	if err != nil {
		return err
	}
	c.wg.Go(func() {
		var m wrapperspb.BytesValue
		for s.RecvMsg(&m) == nil && s.SendMsg(&m) == nil {
		}
	})
	return nil
}

// serve hands out replies until the stream ends.
func (c *caller) serve(s grpc.ServerStream) error {
	c.attached <- s
	defer c.slots.Fail()
	var m wrapperspb.BytesValue
	for {
		if err := s.RecvMsg(&m); err != nil {
			return err
		}
		if err := c.slots.Deliver(m.GetValue()); err != nil {
			return err
		}
	}
}

// Call has the server call the client. It leaves the context alone: a stream has one of its own.
func (c *caller) Call(_ context.Context, payload []byte) ([]byte, error) {
	slot, frame, err := c.slots.Take(payload)
	if err != nil {
		return nil, err
	}
	c.sending.Lock()
	err = c.spoke.SendMsg(&wrapperspb.BytesValue{Value: frame})
	c.sending.Unlock()
	if err != nil {
		return nil, err
	}
	return c.slots.Wait(slot)
}

func (c *caller) Close() error {
	c.detach()
	var err error
	if c.client != nil {
		err = c.client.Close()
	}
	c.server.Stop()
	c.wg.Wait()
	return err
}
