package arpc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/lesismal/arpc"

	"github.com/alkdev/hubspoke/bench/contender"
)

// Methods: of the server, and of the client.
const (
	register = "/register"
	forward  = "/forward"
	echo     = "/echo"
	news     = "/news"
)

// hub is the serving side, and the clients that have registered with it.
type hub struct {
	server   *arpc.Server
	listener net.Listener
	served   chan struct{}
	left     chan struct{} // has a token when a client has left since it was last looked at

	mu      sync.RWMutex
	clients map[int]*arpc.Client
}

func newHub(s contender.Setup, n network) (*hub, error) {
	if s.TLS {
		return nil, errNoTLS
	}
	ln, err := n.listen()
	if err != nil {
		return nil, fmt.Errorf("arpc: listen: %w", err)
	}
	h := &hub{
		server:   arpc.NewServer(),
		listener: ln,
		served:   make(chan struct{}),
		left:     make(chan struct{}, 1),
		clients:  make(map[int]*arpc.Client),
	}
	on := h.server.Handler
	on.HandleConnected(keepNoDelay)
	on.HandleDisconnected(func(*arpc.Client) {
		select {
		case h.left <- struct{}{}:
		default:
		}
	})
	on.Handle(register, h.register, false)
	on.Handle(forward, h.forward, false)
	go func() {
		defer close(h.served)
		_ = h.server.Serve(ln) // It ends with the error of a closed listener.
	}()
	return h, nil
}

// keepNoDelay stands in for arpc's own hook, which turns TCP_NODELAY off.
func keepNoDelay(*arpc.Client) {}

func (h *hub) register(c *arpc.Context) {
	number, err := strconv.Atoi(string(c.Body()))
	if err != nil {
		_ = c.Error(err)
		return
	}
	h.mu.Lock()
	h.clients[number] = c.Client
	h.mu.Unlock()
	_ = c.Write(nil) // Where it fails, the client misses the reply and says so.
}

func (h *hub) client(number int) (*arpc.Client, error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if c := h.clients[number]; c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("arpc: no client %d", number)
}

// forward passes a request on to client 0.
func (h *hub) forward(c *arpc.Context) {
	callee, err := h.client(0)
	if err == nil {
		err = callee.CallAsync(echo, c.Body(), func(reply *arpc.Context, err error) {
			if err != nil {
				_ = c.Error(err)
				return
			}
			_ = c.Write(reply.Body())
		}, patience)
	}
	if err != nil {
		_ = c.Error(err)
	}
}

func serve(s contender.Setup, n network) (contender.Server, error) {
	h, err := newHub(s, n)
	if err != nil {
		return nil, err
	}
	return h, nil
}

func (h *hub) Addr() string { return h.listener.Addr().String() }

// Publish notifies those that have registered. arpc's own Broadcast goes by its list of connections, which may come
// to know of one only after its registration was answered, and says nothing of what it dropped.
func (h *hub) Publish(payload []byte) error {
	m := h.server.NewMessage(arpc.CmdNotify, news, payload)
	h.mu.RLock()
	defer h.mu.RUnlock()
	for number, c := range h.clients {
		if err := c.PushMsg(m, arpc.TimeZero); err != nil {
			return fmt.Errorf("arpc: notify client %d: %w", number, err)
		}
	}
	return nil
}

func (h *hub) Call(ctx context.Context, i int, payload []byte) ([]byte, error) {
	c, err := h.client(i)
	if err != nil {
		return nil, err
	}
	return call(ctx, c, echo, payload)
}

func call(ctx context.Context, c *arpc.Client, method string, payload []byte) ([]byte, error) {
	var reply []byte
	err := c.CallContext(ctx, method, payload, &reply)
	return reply, err
}

// Close closes the connections before the listener: arpc stops its clients when it has lost that, and
// does so in a way that races with their readers.
func (h *hub) Close() error {
	h.server.ForEach(func(c *arpc.Client) { _ = c.Conn.Close() })
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for h.connected() > 0 {
		select {
		case <-h.left:
		case <-deadline.C:
			return errors.Join(h.listener.Close(), errors.New("arpc: connections did not end"))
		}
	}
	err := h.listener.Close()
	<-h.served
	return err
}

func (h *hub) connected() int {
	n := 0
	h.server.ForEach(func(*arpc.Client) { n++ })
	return n
}
