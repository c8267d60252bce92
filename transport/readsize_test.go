package transport_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/alkdev/hubspoke/transport"
)

// fullReads is a connection whose reads return all that they ask for, as long as so much is to come. It notes how
// much that was, once something was to come.
type fullReads struct {
	net.Conn
	toCome int
	asked  []int
}

func (c *fullReads) Read(p []byte) (int, error) {
	if c.toCome > 0 || c.asked != nil {
		c.asked = append(c.asked, len(p))
	}
	if c.toCome == 0 {
		return c.Conn.Read(p)
	}
	n, err := io.ReadFull(c.Conn, p[:min(len(p), c.toCome)])
	c.toCome -= n
	return n, err
}

// A read after one that returned all that it asked for asks for four times as much, up to 256 KiB; after one
// that returned less than 16 KiB, for 16 KiB again.
func TestReadsGrow(t *testing.T) {
	s := newServer(t, false, nil)
	conn := &fullReads{}
	d := &transport.WebSocketDialer{Linger: testLinger, Client: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			var err error
			conn.Conn, err = new(net.Dialer).DialContext(ctx, network, addr)
			return conn, err
		},
	}}}
	client, err := d.Dial(t.Context(), "ws"+strings.TrimPrefix(s.URL, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Abort)
	server := <-s.accepted
	t.Cleanup(server.Abort)
	const header = 4 // of a frame of 16 KiB
	message := bytes.Repeat([]byte("x"), 16<<10-header)
	read := func(messages ...[]byte) {
		t.Helper()
		go func() { _ = server.Write(messages) }() // an error ends the connection
		for range messages {
			if _, err := client.Read(); err != nil {
				t.Fatal(err)
			}
		}
	}
	conn.toCome = (1 + 4 + 16) * (header + len(message))
	read(slices.Repeat([][]byte{message}, 1+4+16)...)
	read([]byte("short"))
	read([]byte("short"))
	if want := []int{16 << 10, 64 << 10, 256 << 10, 256 << 10, 16 << 10}; !slices.Equal(conn.asked, want) {
		t.Errorf("reads asked for %d bytes, want %d", conn.asked, want)
	}
}
