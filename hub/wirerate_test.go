package hub_test

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/alkdev/hubspoke/hub"
)

// Pongs, and fragments without content that never end a message, count against the rates like everything on the wire: the
// connection is closed with 4003.
func TestRatesCountTheWire(t *testing.T) {
	pong := []byte{0x8a, 0x80, 1, 2, 3, 4}
	fragment := []byte{0x00, 0x80, 1, 2, 3, 4}
	for name, c := range map[string]struct {
		first, again []byte
		o            hub.Options
	}{
		"pongs, frames":     {again: pong, o: hub.Options{FramesPerSecond: 1000}},
		"pongs, bytes":      {again: pong, o: hub.Options{BytesPerSecond: 1 << 10, MaxMessageBytes: 4 << 10}},
		"fragments, frames": {first: []byte{0x01, 0x80, 1, 2, 3, 4}, again: fragment, o: hub.Options{FramesPerSecond: 1000}},
		"fragments, bytes":  {first: []byte{0x01, 0x80, 1, 2, 3, 4}, again: fragment, o: hub.Options{BytesPerSecond: 1 << 10, MaxMessageBytes: 4 << 10}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // each waits for its linger time
			h := stuckHub(t, &c.o)
			var raw net.Conn
			dial := func(ctx context.Context, network, address string) (net.Conn, error) {
				var err error
				raw, err = new(net.Dialer).DialContext(ctx, network, address)
				return raw, err
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			ws, _, err := websocket.Dial(ctx, h.url, &websocket.DialOptions{ //nolint:bodyclose // the library closes it
				HTTPClient: &http.Client{Transport: &http.Transport{DialContext: dial}}})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = ws.CloseNow() }()
			if err := ws.Write(ctx, websocket.MessageText, []byte(`{"type":"call.requested","payload":{"requestId":"r","operationId":"hub.register","input":{}}}`)); err != nil {
				t.Fatal(err)
			}
			if _, _, err := ws.Read(ctx); err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				_, err := raw.Write(c.first)
				for many := bytes.Repeat(c.again, 1000); err == nil; {
					_, err = raw.Write(many)
				}
			}()
			if _, _, err := ws.Read(ctx); websocket.CloseStatus(err) != 4003 {
				t.Errorf("%v, want close code 4003", err)
			}
			_ = raw.Close()
			<-done
		})
	}
}
