package workload_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/alkdev/hubspoke/bench/contender"
	"github.com/alkdev/hubspoke/bench/process"
)

func TestMain(m *testing.M) {
	process.Main(find)
	os.Exit(m.Run())
}

// find gives the contender of these tests, which is the least that can be measured: lines over TCP. What follows its
// name says which fault the clients' deliveries have.
func find(name string) (contender.Contender, bool) {
	fault, ok := strings.CutPrefix(name, "line")
	return contender.Contender{
		Name:  name,
		Serve: serveLines,
		Dial: func(ctx context.Context, s contender.Setup, c contender.Client) (contender.Connection, error) {
			if damage := faults[strings.TrimSpace(fault)]; damage != nil && c.Number == 1 {
				c.Deliver = damage(c.Deliver)
			}
			return dialLine(ctx, s, c)
		},
		Call: func(s contender.Setup) (contender.Caller, error) { return callLine(s) },
	}, ok
}

// faultAt is the message that is damaged.
const faultAt = 3

// nth calls at for the message that is damaged and deliver for all others.
func nth(deliver, at func([]byte)) func([]byte) {
	n := -1
	return func(payload []byte) {
		if n++; n == faultAt {
			at(payload)
			return
		}
		deliver(payload)
	}
}

// faults make a delivery that is wrong in one way.
var faults = map[string]func(func([]byte)) func([]byte){
	"wrong": func(deliver func([]byte)) func([]byte) {
		return nth(deliver, func(payload []byte) {
			payload = slices.Clone(payload)
			payload[len(payload)-3] ^= 1
			deliver(payload)
		})
	},
	"missing": func(deliver func([]byte)) func([]byte) { return nth(deliver, func([]byte) {}) },
	"repeated": func(deliver func([]byte)) func([]byte) {
		return nth(deliver, func(p []byte) { deliver(p); deliver(p) })
	},
	"swapped": func(deliver func([]byte)) func([]byte) {
		var held []byte
		return nth(func(p []byte) {
			deliver(p)
			if held != nil {
				deliver(held)
				held = nil
			}
		}, func(p []byte) { held = slices.Clone(p) })
	},
}

// lines is a server. It knows its clients by the number that each of them says first.
type lines struct {
	l       net.Listener
	publish bool
	running sync.WaitGroup

	mu      sync.Mutex
	clients map[int]*lineClient
}

type lineClient struct {
	conn net.Conn
	in   *bufio.Reader
	turn sync.Mutex // one call at a time
}

func serveLines(s contender.Setup) (contender.Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &lines{l: l, publish: s.Publish, clients: map[int]*lineClient{}}
	server.running.Go(server.accept)
	return server, nil
}

func (s *lines) accept() {
	for {
		conn, err := s.l.Accept()
		if err != nil {
			return
		}
		c := &lineClient{conn: conn, in: bufio.NewReader(conn)}
		var number int
		if _, err := fmt.Fscanf(c.in, "%d\n", &number); err != nil {
			_ = conn.Close()
			continue
		}
		s.mu.Lock()
		if old := s.clients[number]; old != nil {
			_ = old.conn.Close()
		}
		s.clients[number] = c
		s.mu.Unlock()
		_, _ = conn.Write([]byte("usable\n"))
	}
}

func (s *lines) Addr() string { return s.l.Addr().String() }

func (s *lines) Publish(payload []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	line := append(slices.Clone(payload), '\n')
	for _, c := range s.clients {
		if _, err := c.conn.Write(line); err != nil {
			return err
		}
	}
	return nil
}

func (s *lines) Call(_ context.Context, i int, payload []byte) ([]byte, error) {
	s.mu.Lock()
	c := s.clients[i]
	s.mu.Unlock()
	if c == nil {
		return nil, errors.New("no such client")
	}
	return c.call(payload)
}

func (c *lineClient) call(payload []byte) ([]byte, error) {
	c.turn.Lock()
	defer c.turn.Unlock()
	if _, err := c.conn.Write(append(slices.Clone(payload), '\n')); err != nil {
		return nil, err
	}
	line, err := c.in.ReadBytes('\n')
	return bytes.TrimSuffix(line, []byte("\n")), err
}

func (s *lines) Close() error {
	err := s.l.Close()
	s.running.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.clients {
		_ = c.conn.Close()
	}
	return err
}

// line is a client's connection.
type line struct {
	conn    net.Conn
	running sync.WaitGroup
}

// open counts the clients that are connected, to see that none is left.
var open atomic.Int64

func dialLine(ctx context.Context, s contender.Setup, client contender.Client) (contender.Connection, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", s.Addr)
	if err != nil {
		return nil, err
	}
	in := bufio.NewReader(conn)
	_, err = fmt.Fprintf(conn, "%d\n", client.Number)
	if err == nil {
		_, err = in.ReadString('\n')
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	l := &line{conn: conn}
	open.Add(1)
	l.running.Go(func() {
		for {
			payload, err := in.ReadBytes('\n')
			if err != nil {
				return
			}
			if s.Publish {
				client.Deliver(payload[:len(payload)-1])
			} else if _, err := conn.Write(payload); err != nil {
				return
			}
		}
	})
	return l, nil
}

func (l *line) Close() error {
	err := l.conn.Close()
	l.running.Wait()
	open.Add(-1)
	return err
}

// lineCaller is both ends of one connection.
type lineCaller struct {
	server contender.Server
	client contender.Connection
}

func callLine(s contender.Setup) (*lineCaller, error) {
	server, err := serveLines(s)
	if err != nil {
		return nil, err
	}
	s.Addr = server.Addr()
	client, err := dialLine(context.Background(), s, contender.Client{})
	if err != nil {
		return nil, errors.Join(err, server.Close())
	}
	return &lineCaller{server, client}, nil
}

func (c *lineCaller) Call(ctx context.Context, payload []byte) ([]byte, error) {
	return c.server.Call(ctx, 0, payload)
}

func (c *lineCaller) Close() error { return errors.Join(c.client.Close(), c.server.Close()) }
