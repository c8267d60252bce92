package nats

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"

	"github.com/nats-io/nats-server/v2/server"
	client "github.com/nats-io/nats.go"

	"github.com/alkdev/hubspoke/bench/contender"
)

const loopback = "127.0.0.1"

// start starts a server for TCP and WebSocket on ports that are free, after change has seen its options.
func start(change func(*server.Options)) (*server.Server, error) {
	options := &server.Options{
		Host:      loopback,
		Port:      server.RANDOM_PORT,
		NoLog:     true,
		NoSigs:    true,
		Websocket: server.WebsocketOpts{Host: loopback, Port: server.RANDOM_PORT, NoTLS: true},
	}
	if change != nil {
		change(options)
	}
	srv, err := server.NewServer(options)
	if err != nil {
		return nil, fmt.Errorf("nats: server: %w", err)
	}
	srv.Start()
	if !srv.ReadyForConnections(patience) {
		_ = stop(srv)
		return nil, errors.New("nats: the server did not become ready")
	}
	return srv, nil
}

// stop also says whether the server dropped anything.
func stop(srv *server.Server) error {
	err := dropped(srv)
	srv.Shutdown()
	srv.WaitForShutdown()
	return err
}

func dropped(srv *server.Server) error {
	if n := srv.NumSlowConsumers(); n > 0 {
		return fmt.Errorf("nats: the server dropped %d slow consumers", n)
	}
	return nil
}

// publisher is the serving process: the server, and the connection in it that publishes and calls.
type publisher struct {
	srv  *server.Server
	conn *connection
	addr string
}

func serve(s contender.Setup, address func(*server.Server) string) (contender.Server, error) {
	if s.TLS {
		return nil, errNoTLS
	}
	srv, err := start(nil)
	if err != nil {
		return nil, err
	}
	p := &publisher{srv: srv}
	if p.addr, err = hostPort(address(srv)); err == nil {
		p.conn, err = connect(context.Background(), "", client.InProcessServer(srv))
	}
	if err != nil {
		return nil, errors.Join(err, stop(srv))
	}
	return p, nil
}

// hostPort names the loopback address, as the server may say localhost, which has two.
func hostPort(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	return net.JoinHostPort(loopback, u.Port()), nil
}

func (p *publisher) Addr() string { return p.addr }

func (p *publisher) Publish(payload []byte) error {
	if err := errors.Join(p.conn.err(), dropped(p.srv)); err != nil {
		return err
	}
	return p.conn.nc.Publish(news, payload)
}

func (p *publisher) Call(ctx context.Context, i int, payload []byte) ([]byte, error) {
	return p.conn.request(ctx, subject(i), payload)
}

func (p *publisher) Close() error {
	return errors.Join(p.conn.Close(), stop(p.srv))
}
