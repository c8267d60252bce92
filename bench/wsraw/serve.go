package wsraw

import (
	"context"
	"encoding/binary"
	"errors"
	"net/http"
	"slices"
	"sync"

	"github.com/coder/websocket"

	"github.com/alkdev/hubspoke/bench/contender"
	"github.com/alkdev/hubspoke/bench/loopback"
	"github.com/alkdev/hubspoke/bench/slots"
)

var errNoClient = errors.New("wsraw: no client of that number")

// hub is the serving side of W3, W4 and W6.
type hub struct {
	http      *loopback.Server
	slots     *slots.Slots
	publishes bool

	mu      sync.Mutex
	clients map[uint32]*websocket.Conn
	serving sync.WaitGroup

	// publishing keeps what is published in order. subscribers are changed under it, and frame is on its way.
	publishing  sync.Mutex
	subscribers []*websocket.Conn
	frame       []byte
}

// Serve starts the serving side.
func Serve(s contender.Setup) (contender.Server, error) {
	h := &hub{slots: slots.New(inFlight), publishes: s.Publish, clients: map[uint32]*websocket.Conn{}}
	var err error
	h.http, err = loopback.Serve(s, http.HandlerFunc(h.serve))
	if err != nil {
		return nil, err
	}
	return h, nil
}

// serve has one client: its registration, the answer, and then the replies to calls.
func (h *hub) serve(w http.ResponseWriter, r *http.Request) {
	conn := accept(w, r)
	if conn == nil {
		return
	}
	defer func() { _ = conn.CloseNow() }()
	registration, err := Read(conn, nil)
	if err != nil || len(registration) != slots.Prefix {
		return
	}
	number := binary.LittleEndian.Uint32(registration)
	h.add(number, conn)
	defer h.remove(number, conn)
	if err := h.answer(conn, registration); err != nil {
		return
	}
	var buf []byte
	for {
		if buf, err = Read(conn, buf); err != nil {
			return
		}
		if err := h.slots.Deliver(buf); err != nil {
			return
		}
	}
}

func (h *hub) add(number uint32, conn *websocket.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.serving.Add(1)
	h.clients[number] = conn
}

// answer says that the client is registered. One that subscribes gets what is published behind the answer.
func (h *hub) answer(conn *websocket.Conn, registration []byte) error {
	if !h.publishes {
		return Write(conn, registration)
	}
	h.publishing.Lock()
	defer h.publishing.Unlock()
	if err := Write(conn, registration); err != nil {
		return err
	}
	h.subscribers = append(h.subscribers, conn)
	return nil
}

func (h *hub) remove(number uint32, conn *websocket.Conn) {
	if h.publishes {
		h.publishing.Lock()
		h.subscribers = slices.DeleteFunc(h.subscribers, func(c *websocket.Conn) bool { return c == conn })
		h.publishing.Unlock()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.clients[number] == conn {
		delete(h.clients, number)
	}
	h.serving.Done()
}

func (h *hub) Addr() string { return h.http.Addr() }

// Publish writes to one connection after the other. One that is slow delays all: nothing here says otherwise.
func (h *hub) Publish(payload []byte) error {
	h.publishing.Lock()
	defer h.publishing.Unlock()
	h.frame = slots.AppendPublished(h.frame[:0], payload)
	for _, conn := range h.subscribers {
		if err := Write(conn, h.frame); err != nil {
			_ = conn.CloseNow() // its handler ends and takes it out
		}
	}
	return nil
}

// Call leaves ctx alone, as in W1.
func (h *hub) Call(_ context.Context, i int, payload []byte) ([]byte, error) {
	h.mu.Lock()
	conn := h.clients[uint32(i)]
	h.mu.Unlock()
	if conn == nil {
		return nil, errNoClient
	}
	slot, frame, err := h.slots.Take(payload)
	if err != nil {
		return nil, err
	}
	if err := Write(conn, frame); err != nil {
		return nil, err
	}
	return h.slots.Wait(slot)
}

// Close ends all connections and waits for their handlers.
func (h *hub) Close() error {
	err := h.http.Close()
	h.mu.Lock()
	for _, conn := range h.clients {
		_ = conn.CloseNow() // it may have ended already
	}
	h.mu.Unlock()
	h.slots.Fail()
	h.serving.Wait()
	return err
}
