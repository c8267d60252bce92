package transport_test

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/transport"
)

// raw is a WebSocket client that sends exactly the bytes of the test.
type raw struct {
	t *testing.T
	net.Conn
	in *bufio.Reader
}

// dialRaw makes the handshake and sends more in the same segment.
func dialRaw(t *testing.T, s *server, more ...[]byte) (*raw, transport.Conn) {
	t.Helper()
	var conn net.Conn
	var err error
	if addr := s.Listener.Addr().String(); s.TLS != nil {
		conn, err = dialTLS(addr, s)
	} else {
		conn, err = net.Dial("tcp", addr)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	out := []byte("GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
	for _, m := range more {
		out = append(out, m...)
	}
	r := &raw{t, conn, bufio.NewReader(conn)}
	r.send(out)
	for line := ""; line != "\r\n"; {
		if line, err = r.in.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	c := <-s.accepted
	t.Cleanup(c.Abort)
	return r, c
}

func (r *raw) send(b []byte) {
	r.t.Helper()
	if _, err := r.Write(b); err != nil {
		r.t.Fatal(err)
	}
}

// frame makes a client's frame with a mask of zeros; first is the first byte.
func frame(first byte, payload string) []byte {
	out := []byte{first}
	switch n := len(payload); {
	case n < 126:
		out = append(out, 0x80|byte(n))
	case n < 1<<16:
		out = binary.BigEndian.AppendUint16(append(out, 0x80|126), uint16(n))
	default:
		out = binary.BigEndian.AppendUint64(append(out, 0x80|127), uint64(n))
	}
	return append(append(out, 0, 0, 0, 0), payload...)
}

// next reads a frame of the server's.
func (r *raw) next() (first byte, payload string) {
	r.t.Helper()
	var head [2]byte
	if _, err := io.ReadFull(r.in, head[:]); err != nil {
		r.t.Fatal(err)
	}
	n := int(head[1])
	if n > 125 {
		r.t.Fatalf("frame too long for this test: %d", n)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r.in, body); err != nil {
		r.t.Fatal(err)
	}
	return head[0], string(body)
}

// wantEnd expects a close frame with the code and then the end of the stream.
func (r *raw) wantEnd(code transport.CloseCode) {
	r.t.Helper()
	first, payload := r.next()
	if first != 0x88 || len(payload) < 2 || transport.CloseCode(binary.BigEndian.Uint16([]byte(payload))) != code {
		r.t.Fatalf("got frame %x %q, want close %d", first, payload, code)
	}
	if n, err := r.in.Read(make([]byte, 1)); n > 0 {
		r.t.Errorf("%d bytes after the close frame, %v", n, err)
	}
}

// The bytes that arrive with the handshake are not lost, plain or TLS, and
// fragments and control frames between them are put together.
func TestEarlyAndFragmentedFrames(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprint("TLS ", secure), func(t *testing.T) {
			s := newServer(t, secure, nil)
			r, c := dialRaw(t, s, frame(0x81, "early"), frame(0x01, "one "), frame(0x89, "hi"), frame(0x00, "two "), frame(0x80, "three"))
			for _, want := range []string{"early", "one two three"} {
				if msg, err := c.Read(); err != nil || string(msg) != want {
					t.Fatalf("%q, %v; want %q", msg, err, want)
				}
			}
			for early := range 4 { // bytes of the first frame
				first := frame(0x81, "early")
				r, c := dialRaw(t, s, first[:early])
				r.send(first[early:])
				if msg, err := c.Read(); err != nil || string(msg) != "early" {
					t.Fatalf("%d bytes came early: %q, %v", early, msg, err)
				}
			}
			if first, payload := r.next(); first != 0x8a || payload != "hi" {
				t.Errorf("pong is %x %q", first, payload)
			}
		})
	}
}

func TestProtocolViolations(t *testing.T) {
	unmasked := []byte{0x81, 1, 'x'}
	for name, c := range map[string]struct {
		send []byte
		code transport.CloseCode
	}{
		"binary":               {append(frame(0x82, "binary"), frame(0x88, "\x03\xeb")...), transport.CloseUnsupportedData},
		"reserved bit":         {frame(0xc1, "x"), transport.CloseProtocolError},
		"unknown opcode":       {frame(0x83, "x"), transport.CloseProtocolError},
		"unmasked":             {unmasked, transport.CloseProtocolError},
		"fragmented ping":      {frame(0x09, "x"), transport.CloseProtocolError},
		"lost continuation":    {frame(0x80, "x"), transport.CloseProtocolError},
		"interrupted fragment": {append(frame(0x01, "x"), frame(0x81, "y")...), transport.CloseProtocolError},
		"bad close":            {frame(0x88, "x"), transport.CloseProtocolError},
		"negative length":      {append([]byte{0x81, 0xff}, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), transport.CloseProtocolError},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, false, &transport.AcceptOptions{Linger: time.Minute})
			r, conn := dialRaw(t, s)
			end := make(chan error, 1)
			go func() {
				_, err := conn.Read()
				end <- err
			}()
			r.send(c.send)
			// The server discards more than the sockets hold, or the close frame would be lost.
			sent := make(chan error, 1)
			go func() {
				_, err := r.Write(make([]byte, 32<<20))
				sent <- err
			}()
			if c.code == transport.CloseUnsupportedData {
				first, payload := r.next()
				if first != 0x88 || payload[:2] != "\x03\xeb" {
					t.Errorf("%x %q", first, payload)
				}
			} else {
				r.wantEnd(c.code)
				if err := <-sent; err != nil {
					t.Errorf("the server did not read what came behind it: %v", err)
				}
			}
			_ = r.Close()
			wantClosed(t, <-end, c.code, false)
		})
	}
}

func TestHalfAMessageThenSilence(t *testing.T) {
	s := newServer(t, false, nil)
	r, c := dialRaw(t, s)
	whole := frame(0x81, "0123456789")
	r.send(whole[:9])
	end := make(chan error, 1)
	go func() {
		_, err := c.Read()
		end <- err
	}()
	c.Abort()
	wantLost(t, <-end)

	r, c = dialRaw(t, s)
	r.send(whole[:9])
	_ = r.Close()
	_, err := c.Read()
	wantLost(t, err)
}

// A peer that pings without end and reads nothing neither blocks the reader nor
// makes it keep more than the bound: it is dropped.
func TestPingFlood(t *testing.T) {
	s := newServer(t, false, nil)
	r, c := dialRaw(t, s)
	go func() {
		flood := make([]byte, 0, 1<<17)
		for len(flood) < 1<<16 {
			flood = append(flood, frame(0x89, string(make([]byte, 125)))...)
		}
		for {
			if _, err := r.Write(flood); err != nil {
				return
			}
		}
	}()
	_, err := c.Read() // ends only because the control queue ran over
	wantLost(t, err)
	wantLost(t, c.Write([][]byte{[]byte("x")}))
}

// Control frames wait behind a write that the other side does not read, up to 64 KiB with room for the largest header.
// One more ends the connection.
func TestControlFramesThatWait(t *testing.T) {
	const most = 64<<10 - 14
	for _, size := range []int{0, 125} {
		s := newServer(t, false, nil)
		r, c := dialRaw(t, s)
		stuck := make(chan error, 1)
		go func() { stuck <- c.Write([][]byte{make([]byte, 24<<20)}) }()
		if _, err := r.in.ReadByte(); err != nil { // it is being written
			t.Fatal(err)
		}
		ping := frame(0x89, strings.Repeat("x", size))
		r.send(append(bytes.Repeat(ping, (most-size)/(2+size)+1), frame(0x81, "data")...))
		if msg, err := c.Read(); err != nil || string(msg) != "data" {
			t.Errorf("as many pings of %d bytes as fit: %q, %v", size, msg, err)
		}
		r.send(append(ping, frame(0x81, "data")...))
		msg, err := c.Read()
		wantLost(t, err)
		if wantLost(t, <-stuck); len(msg) > 0 || !strings.Contains(err.Error(), "too many control frames") {
			t.Errorf("one ping more: %q, %v", msg, err)
		}
	}
}

// A ping or a close that does not fit behind the control frames that wait ends the connection too.
func TestControlFrameTooMany(t *testing.T) {
	const fit = (64<<10-14)/2 + 1 // of pings without a payload
	for name, last := range map[string]func(transport.Conn) error{
		"Ping":  func(c transport.Conn) error { return c.Ping() },
		"Close": func(c transport.Conn) error { c.Close(transport.CloseKicked, "why"); return transport.ErrLost },
	} {
		s := newServer(t, false, nil)
		r, c := dialRaw(t, s)
		stuck := make(chan error, 1)
		go func() { stuck <- c.Write([][]byte{make([]byte, 24<<20)}) }()
		if _, err := r.in.ReadByte(); err != nil { // it is being written
			t.Fatal(err)
		}
		for i := range fit {
			if err := c.Ping(); err != nil {
				t.Fatalf("ping %d: %v", i, err)
			}
		}
		wantLost(t, last(c))
		_, err := c.Read()
		wantLost(t, err)
		if wantLost(t, <-stuck); !strings.Contains(err.Error(), "too many control frames") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A reader goes on reading while a writer is stuck.
func TestStuckWriterDoesNotBlockTheReader(t *testing.T) {
	for _, secure := range []bool{false, true} {
		s := newServer(t, secure, nil)
		r, c := dialRaw(t, s)
		stuck := make(chan error, 1)
		go func() { stuck <- c.Write([][]byte{make([]byte, 24<<20)}) }()
		for range 100 {
			r.send(frame(0x89, "ping"))
			r.send(frame(0x81, "data"))
			if msg, err := c.Read(); err != nil || string(msg) != "data" {
				t.Fatalf("%q, %v", msg, err)
			}
		}
		c.Abort()
		wantLost(t, <-stuck)
	}
}

// Closing after the other side closed: what it said is found, although writing
// to it fails first.
func TestCloseFrameIsFoundAfterWriteFailed(t *testing.T) {
	s := newServer(t, false, nil)
	r, c := dialRaw(t, s)
	r.send(frame(0x88, "\x11\x96"+"by x"))
	_ = r.Conn.(*net.TCPConn).SetLinger(-1)
	_ = r.Close()
	for c.Write([][]byte{make([]byte, 1<<16)}) == nil {
	}
	_, err := c.Read()
	wantClosed(t, err, transport.CloseReplaced, true)
}

func TestWriteTimeout(t *testing.T) {
	for _, secure := range []bool{false, true} {
		s := newServer(t, secure, &transport.AcceptOptions{WriteTimeout: 50 * time.Millisecond})
		_, c := dialRaw(t, s)
		wantLost(t, c.Write([][]byte{make([]byte, 24<<20)}))
		_, err := c.Read()
		wantLost(t, err)
	}
}

// acceptKey is the server's answer to the client's key (RFC 6455 section 4.2.2).
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}
