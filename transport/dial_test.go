package transport_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/transport"
)

// dialFake connects to a server that sends the bytes in one piece with its
// handshake, and then only listens.
func dialFake(t *testing.T, behind string) (transport.Conn, error) {
	t.Helper()
	return dialListening(t, behind, io.Discard)
}

// dialListening is dialFake with a server that copies what the client sends.
func dialListening(t *testing.T, behind string, to io.Writer) (transport.Conn, error) {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lis.Close() })
	go func() {
		conn, err := lis.Accept()
		if err != nil {
			return
		}
		r, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
			"Sec-WebSocket-Accept: "+acceptKey(r.Header.Get("Sec-WebSocket-Key"))+"\r\n"+behind)
		_, _ = io.Copy(to, conn)
		_ = conn.Close()
	}()
	d := transport.WebSocketDialer{Linger: time.Minute}
	return d.Dial(context.Background(), "ws://"+lis.Addr().String(), nil)
}

// What the server sends together with its handshake is not lost.
func TestDialFramesBehindTheHandshake(t *testing.T) {
	c, err := dialFake(t, "\r\n\x81\x05early\x88\x06\x11\x94late")
	if err != nil {
		t.Fatal(err)
	}
	if msg, err := c.Read(); err != nil || string(msg) != "early" {
		t.Errorf("%q, %v", msg, err)
	}
	_, err = c.Read()
	wantClosed(t, err, transport.CloseNotAuthenticated, true)
	if ce, _ := errors.AsType[*transport.CloseError](err); ce == nil || ce.Reason != "late" {
		t.Errorf("%v", err)
	}
}

// A client masks each of its frames, also control frames, with a key of its own: RFC 6455 wants keys that cannot be predicted.
func TestClientMasksEachFrame(t *testing.T) {
	const frames = 40
	in, out := io.Pipe()
	defer func() { _ = in.Close() }()
	c, err := dialListening(t, "\r\n", out)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Abort()
	seen := map[[4]byte]bool{{}: true}
	next := func(first byte, payload string) {
		t.Helper()
		var head [6]byte
		if _, err := io.ReadFull(in, head[:]); err != nil {
			t.Fatal(err)
		}
		body := make([]byte, len(payload))
		if head[0] != first || head[1] != 0x80|byte(len(payload)) {
			t.Fatalf("a frame begins with %x, want %x", head[:2], first)
		}
		if _, err := io.ReadFull(in, body); err != nil {
			t.Fatal(err)
		}
		key := [4]byte(head[2:])
		for i := range body {
			body[i] ^= key[i%4]
		}
		if seen[key] || string(body) != payload {
			t.Errorf("%q with the key %x (0 or used before: %v)", body, key, seen[key])
		}
		seen[key] = true
	}
	batch := make([][]byte, frames)
	for i := range batch {
		batch[i] = []byte("some text")
	}
	for _, write := range []func() bool{
		func() bool { return c.Write(batch) == nil },
		func() bool { return c.TryWrite(batch) },
		func() bool { return c.Write(batch) == nil },
	} {
		if !write() {
			t.Fatal("it was not written")
		}
		for range frames {
			next(0x81, "some text")
		}
	}
	if err := c.Ping(); err != nil {
		t.Fatal(err)
	}
	next(0x89, "")
	c.Close(transport.CloseNormal, "why")
	next(0x88, "\x03\xe8why")
}

func TestServerBreaksTheProtocol(t *testing.T) {
	c, err := dialFake(t, "\r\n\xf1\x05early")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Read()
	wantClosed(t, err, transport.CloseProtocolError, false)
}

func TestServerBreaksTheHandshake(t *testing.T) {
	_, err := dialFake(t, "Sec-WebSocket-Protocol: not.offered\r\n\r\n")
	wantStatus(t, err, http.StatusSwitchingProtocols)
}

func TestHandshakeErrorText(t *testing.T) {
	for want, err := range map[string]*transport.HandshakeError{
		"handshake refused with 401 Unauthorized":                             {Status: 401},
		"handshake refused with 503 Service Unavailable, retry after 5s":      {Status: 503, RetryAfter: 5 * time.Second},
		"handshake refused with 101 Switching Protocols: bad accept key sent": {Status: 101, Err: errors.New("bad accept key sent")},
	} {
		if err.Error() != want {
			t.Errorf("%s, want %s", err, want)
		}
	}
}
