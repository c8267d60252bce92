package transport_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/alkdev/hubspoke/transport"
)

const benchMessage = 128

// BenchmarkEcho is one message at a time, there and back.
func BenchmarkEcho(b *testing.B) {
	for _, size := range []int{benchMessage, 4 << 10} {
		name := map[int]string{benchMessage: "128B", 4 << 10: "4KiB"}[size]
		b.Run("ours/"+name, func(b *testing.B) { benchOurs(b, false, size, 1) })
		b.Run("ours TLS/"+name, func(b *testing.B) { benchOurs(b, true, size, 1) })
		b.Run("coder/"+name, func(b *testing.B) { benchCoder(b, size, 1) })
	}
}

// BenchmarkBatch is 64 messages of 128 B at a time, there and back; the figures
// are per batch.
func BenchmarkBatch(b *testing.B) {
	b.Run("ours", func(b *testing.B) { benchOurs(b, false, benchMessage, 64) })
	b.Run("ours TLS", func(b *testing.B) { benchOurs(b, true, benchMessage, 64) })
	b.Run("coder", func(b *testing.B) { benchCoder(b, benchMessage, 64) })
}

// BenchmarkDial is a connection, at both ends.
func BenchmarkDial(b *testing.B) {
	for name, secure := range map[string]bool{"plain": false, "TLS": true} {
		b.Run(name, func(b *testing.B) {
			s := newServer(b, secure, nil)
			b.ReportAllocs()
			for b.Loop() {
				client, server := s.pair(b, testLinger)
				client.Abort()
				server.Abort()
			}
		})
	}
}

// BenchmarkIdle reports what a connection holds at the end that accepted it, its waiting goroutine included.
func BenchmarkIdle(b *testing.B) {
	for name, secure := range map[string]bool{"plain": false, "TLS": true} {
		b.Run(name, func(b *testing.B) {
			const n = 500
			s := newServer(b, secure, nil)
			held := func() uint64 {
				collect()
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				return m.HeapAlloc + m.StackInuse
			}
			for b.Loop() {
				before := held()
				var both, clients []transport.Conn
				for range n {
					client, server := s.pair(b, testLinger)
					if err := client.Write([][]byte{make([]byte, benchMessage)}); err != nil {
						b.Fatal(err)
					}
					both, clients = append(both, server), append(clients, client)
					go func() {
						for _, err := server.Read(); err == nil; {
							_, err = server.Read()
						}
					}()
				}
				with := held()
				b.ReportMetric(float64(with-before)/n, "B/pair")
				for _, c := range append(both, clients...) {
					c.Abort()
				}
			}
		})
	}
}

func benchOurs(b *testing.B, secure bool, size, batch int) {
	s := newServer(b, secure, nil)
	client, server := s.pair(b, testLinger)
	defer client.Abort()
	go func() {
		frames := make([][]byte, batch)
		for i := range frames {
			frames[i] = make([]byte, size)
		}
		for {
			for i := range frames {
				msg, err := server.Read()
				if err != nil {
					return
				}
				copy(frames[i], msg)
			}
			if server.Write(frames) != nil {
				return
			}
		}
	}()
	frames := make([][]byte, batch)
	for i := range frames {
		frames[i] = []byte(strings.Repeat("x", size))
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := client.Write(frames); err != nil {
			b.Fatal(err)
		}
		for range frames {
			if _, err := client.Read(); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func benchCoder(b *testing.B, size, batch int) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		for {
			_, msg, err := c.Read(context.Background())
			if err != nil || c.Write(context.Background(), websocket.MessageText, msg) != nil {
				return
			}
		}
	}))
	defer s.Close()
	c, _, err := websocket.Dial(context.Background(), s.URL, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = c.CloseNow() }()
	msg := []byte(strings.Repeat("x", size))
	b.ReportAllocs()
	for b.Loop() {
		for range batch {
			if err := c.Write(context.Background(), websocket.MessageText, msg); err != nil {
				b.Fatal(err)
			}
		}
		for range batch {
			if _, _, err := c.Read(context.Background()); err != nil {
				b.Fatal(err)
			}
		}
	}
}
