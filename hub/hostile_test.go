package hub_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/spoke"
)

const registration = `{"type":"call.requested","payload":{"requestId":"reg","operationId":"hub.register","input":{"operations":[{"name":"evil.op"}]}}}`

// hostile are peers that do what no peer should. Each returns when the hub has
// dropped it, or when it has had enough.
var hostile = map[string]func(ctx context.Context, t *testing.T, url string){
	"binary": func(ctx context.Context, t *testing.T, url string) {
		c := dialHostile(ctx, t, url, true)
		_ = c.Write(ctx, websocket.MessageBinary, []byte(`{"type":"a"}`))
		wantDropped(ctx, t, c, 1003)
	},
	"binary first": func(ctx context.Context, t *testing.T, url string) {
		c := dialHostile(ctx, t, url, false)
		_ = c.Write(ctx, websocket.MessageBinary, []byte(registration))
		wantDropped(ctx, t, c, 1003)
	},
	"too big": func(ctx context.Context, t *testing.T, url string) {
		c := dialHostile(ctx, t, url, true)
		_ = c.Write(ctx, websocket.MessageText, []byte(`{"type":"a","payload":"`+strings.Repeat("x", 2<<20)+`"}`))
		wantDropped(ctx, t, c, 1009)
	},
	"too big first": func(ctx context.Context, t *testing.T, url string) {
		c := dialHostile(ctx, t, url, false)
		_ = c.Write(ctx, websocket.MessageText, []byte(strings.Repeat("x", 2<<20)))
		wantDropped(ctx, t, c, 1009)
	},
	"not a frame": func(ctx context.Context, t *testing.T, url string) {
		c := dialHostile(ctx, t, url, true)
		_ = c.Write(ctx, websocket.MessageText, []byte(strings.Repeat("[", 100_000)))
		wantDropped(ctx, t, c, 1007)
	},
	"silent": func(ctx context.Context, t *testing.T, url string) {
		wantDropped(ctx, t, dialHostile(ctx, t, url, false), 4000)
	},
	"many pings": func(ctx context.Context, t *testing.T, url string) {
		flood(ctx, t, url, 4000, func(int) string { return `{"type":"__ping"}` })
	},
	"many events": func(ctx context.Context, t *testing.T, url string) {
		flood(ctx, t, url, 4000, func(i int) string { return fmt.Sprintf(`{"type":"evil.%d","payload":"x"}`, i) })
	},
	"many subscriptions": func(ctx context.Context, t *testing.T, url string) {
		flood(ctx, t, url, 4000, func(i int) string { return fmt.Sprintf(`{"type":"__subscribe","payload":{"topic":"evil.%d"}}`, i) })
	},
	"subscribes and leaves": func(ctx context.Context, t *testing.T, url string) {
		flood(ctx, t, url, 4000, func(i int) string {
			return fmt.Sprintf(`{"type":"__%ssubscribe","payload":{"topic":"evil"}}`, []string{"", "un"}[i%2])
		})
	},
	"many requests": func(ctx context.Context, t *testing.T, url string) {
		flood(ctx, t, url, 4000, func(i int) string {
			return fmt.Sprintf(`{"type":"call.requested","payload":{"requestId":"%d","operationId":"hub.info"}}`, i)
		})
	},
	"calls itself": func(ctx context.Context, t *testing.T, url string) {
		flood(ctx, t, url, 2000, func(i int) string {
			return fmt.Sprintf(`{"type":"call.requested","payload":{"requestId":"%d","operationId":"evil.op"}}`, i)
		})
	},
	"registers again and again": func(ctx context.Context, t *testing.T, url string) {
		flood(ctx, t, url, 2000, func(i int) string {
			return fmt.Sprintf(`{"type":"call.requested","payload":{"requestId":"%d","operationId":"hub.register","input":{"operations":[{"name":"evil.op%d"}]}}}`, i, i)
		})
	},
	"asks and never reads": func(ctx context.Context, t *testing.T, url string) {
		c := dialHostile(ctx, t, url, true)
		for i := 0; ctx.Err() == nil; i++ {
			ask := fmt.Sprintf(`{"type":"call.requested","payload":{"requestId":"%d","operationId":"hub.info"}}`, i)
			if c.Write(ctx, websocket.MessageText, []byte(ask)) != nil {
				return
			}
		}
		t.Error("never dropped")
	},
	"half a message": func(ctx context.Context, t *testing.T, url string) {
		raw := rawHostile(ctx, t, url)
		_, _ = raw.Write([]byte{0x81, 0xfe, 0x10, 0x00, 1, 2, 3, 4, 'x'}) // 4096 bytes announced, masked
		_, _ = io.Copy(io.Discard, raw)
	},
	"half a header": func(ctx context.Context, t *testing.T, url string) {
		raw := rawHostile(ctx, t, url)
		_, _ = raw.Write([]byte{0x81})
		_, _ = io.Copy(io.Discard, raw)
	},
	"not masked": func(ctx context.Context, t *testing.T, url string) {
		raw := rawHostile(ctx, t, url)
		_, _ = raw.Write([]byte{0x81, 0x02, '{', '}'})
		_, _ = io.Copy(io.Discard, raw)
	},
	"no WebSocket": func(ctx context.Context, t *testing.T, url string) {
		raw := rawHostile(ctx, t, url)
		_, _ = raw.Write([]byte(strings.Repeat("\xff\xfe nonsense", 1000)))
		_, _ = io.Copy(io.Discard, raw)
	},
	"a fragment a minute": func(ctx context.Context, t *testing.T, url string) {
		raw := rawHostile(ctx, t, url)
		_, _ = raw.Write([]byte{0x01, 0x81, 0, 0, 0, 0, '{'}) // not the last fragment
		_, _ = io.Copy(io.Discard, raw)
	},
}

// dialHostile connects, and registers if it is to.
func dialHostile(ctx context.Context, t *testing.T, url string, register bool) *websocket.Conn {
	c, _, err := websocket.Dial(ctx, url, nil) //nolint:bodyclose // the library closes it
	if err != nil {
		t.Error(err)
		return nil
	}
	c.SetReadLimit(-1)
	t.Cleanup(func() { _ = c.CloseNow() })
	if register {
		_ = c.Write(ctx, websocket.MessageText, []byte(registration))
		if _, _, err := c.Read(ctx); err != nil {
			t.Error(err)
		}
	}
	return c
}

func wantDropped(ctx context.Context, t *testing.T, c *websocket.Conn, code websocket.StatusCode) {
	for {
		_, _, err := c.Read(ctx)
		if err == nil {
			continue
		}
		if got := websocket.CloseStatus(err); got != code {
			t.Errorf("ended with %v, want %d", err, code)
		}
		return
	}
}

// flood sends much and reads what comes, then leaves.
func flood(ctx context.Context, t *testing.T, url string, n int, message func(i int) string) {
	c := dialHostile(ctx, t, url, true)
	read := make(chan struct{})
	go func() {
		defer close(read)
		for {
			if _, _, err := c.Read(ctx); err != nil {
				return
			}
		}
	}()
	for i := range n {
		if err := c.Write(ctx, websocket.MessageText, []byte(message(i))); err != nil {
			break // dropped, which is well
		}
	}
	_ = c.CloseNow()
	<-read
}

// rawHostile makes the handshake by hand.
func rawHostile(ctx context.Context, t *testing.T, url string) net.Conn {
	var d net.Dialer
	raw, err := d.DialContext(ctx, "tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Error(err)
		return nil
	}
	t.Cleanup(func() { _ = raw.Close() })
	context.AfterFunc(ctx, func() { _ = raw.Close() })
	_, _ = fmt.Fprintf(raw, "GET / HTTP/1.1\r\nHost: hub\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	r, err := http.ReadResponse(bufio.NewReader(raw), nil) //nolint:bodyclose // there is none
	if err != nil || r.StatusCode != http.StatusSwitchingProtocols {
		t.Error("handshake", err)
	}
	return raw
}

// Hostile peers take neither the hub down, nor are they noticed by others, nor do
// they leave anything behind.
func TestHostilePeersHurtNobody(t *testing.T) {
	for name, attack := range hostile {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := socketHub(t, &hub.Options{HandshakeTimeout: 3 * time.Second, HeartbeatInterval: time.Second,
				HeartbeatTimeout: time.Second, WriteTimeout: time.Second, LogBytes: 200_000})
			good := socketSpokeWith(t, h, "good", &spoke.Options{}, func(r *call.Registry) {
				registered(call.Handle(r, call.Operation{Name: "good.op"}, func(_ context.Context, in int) (int, error) { return in, nil }))
			})
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			over := make(chan struct{})
			go func() { defer close(over); attack(ctx, t, h.url) }()
			for n := 0; ; n++ {
				start := time.Now()
				out, err := call.Invoke[int](ctx, good, "good.op", n, call.Timeout(10*time.Second))
				if err != nil || out != n {
					t.Fatalf("call %d: %v, %v after %v", n, out, err, time.Since(start))
				}
				select {
				case <-over:
					if ctx.Err() != nil {
						t.Error("it was never dropped")
					}
					if s := good.Stats(); s.Connections != 1 {
						t.Errorf("the good one came back %d times", s.Connections)
					}
					return
				default:
				}
			}
		})
	}
}
