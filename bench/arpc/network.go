package arpc

import (
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/lesismal/arpc/extension/protocol/websocket"
)

const (
	anyPort  = "127.0.0.1:0"
	patience = 30 * time.Second
)

// network is what arpc runs over.
type network struct {
	listen func() (net.Listener, error)
	dial   func(addr string) (net.Conn, error)
}

func listenTCP() (net.Listener, error) { return net.Listen("tcp", anyPort) }

func dialTCP(addr string) (net.Conn, error) { return net.DialTimeout("tcp", addr, patience) }

func dialWebSocket(addr string) (net.Conn, error) { return websocket.Dial("ws://" + addr + "/") }

// webSocket is arpc's listener, which accepts what an HTTP server hands it.
type webSocket struct {
	net.Listener
	tcp    net.Listener
	server *http.Server
	served chan struct{}
}

func listenWebSocket() (net.Listener, error) {
	tcp, err := listenTCP()
	if err != nil {
		return nil, err
	}
	upgraded, err := websocket.Listen(tcp.Addr().String(), nil)
	if err != nil {
		_ = tcp.Close()
		return nil, err
	}
	handler, ok := upgraded.(*websocket.Listener)
	if !ok {
		_ = tcp.Close()
		return nil, errors.New("arpc: its WebSocket listener takes no requests")
	}
	w := &webSocket{
		Listener: upgraded,
		tcp:      tcp,
		server:   &http.Server{Handler: http.HandlerFunc(handler.Handler), ReadHeaderTimeout: patience},
		served:   make(chan struct{}),
	}
	go func() {
		defer close(w.served)
		_ = w.server.Serve(tcp) // It always ends with an error: that of being closed.
	}()
	return w, nil
}

func (w *webSocket) Addr() net.Addr { return w.tcp.Addr() }

func (w *webSocket) Close() error {
	err := errors.Join(w.Listener.Close(), w.server.Close())
	<-w.served
	return err
}
