package transport

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // RFC 6455 asks for it
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// These tests compare the reader with that of coder/websocket: the same bytes, the same messages, pongs and close.

// scripted is a connection on which pieces of a stream arrive, and then the end.
type scripted struct {
	net.Conn
	mu     sync.Mutex
	pieces [][]byte
	wrote  bytes.Buffer
}

func (c *scripted) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.pieces) > 0 && len(c.pieces[0]) == 0 {
		c.pieces = c.pieces[1:]
	}
	if len(c.pieces) == 0 {
		return 0, io.ErrUnexpectedEOF // the library takes io.EOF inside a message for the end of that
	}
	n := copy(p, c.pieces[0])
	c.pieces[0] = c.pieces[0][n:]
	return n, nil
}

func (c *scripted) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wrote.Write(p)
}

// sent returns the control frames that were written.
func (c *scripted) sent() (list []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for p := c.wrote.Bytes(); len(p) > 0; {
		h, n := parseHeader(p)
		payload := bytes.Clone(p[n:][:h.length])
		if h.masked {
			mask(payload, h.key)
		}
		list = append(list, fmt.Sprintf("%x %q", h.first, payload))
		p = p[n+int(h.length):]
	}
	return list
}

func (c *scripted) Close() error                     { return nil }
func (c *scripted) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *scripted) SetReadDeadline(time.Time) error  { return nil }
func (c *scripted) SetWriteDeadline(time.Time) error { return nil }
func (c *scripted) SetDeadline(time.Time) error      { return nil }

// outcome is what a stream of bytes leads to.
type outcome struct {
	messages []string
	code     CloseCode // 0: lost
	remote   bool
	reason   string
	sent     []string // control frames
}

func (o outcome) String() string {
	return fmt.Sprintf("%.40q, closed with %d %q, remote %v, sent %q", o.messages, o.code, o.reason, o.remote, o.sent)
}

// ours reads the pieces with a webSocket.
func ours(client bool, limit int, try bool, pieces ...[]byte) (o outcome) {
	c := &scripted{}
	for _, p := range pieces {
		c.pieces = append(c.pieces, bytes.Clone(p)) // it is unmasked in place
	}
	s := newWebSocket(paceConn(c, time.Minute), "", client, limits{limit, time.Minute, time.Minute}, nil)
	for {
		var msg []byte
		var ok bool
		var err error
		if try {
			msg, ok, err = s.TryRead()
		}
		if err == nil && !ok {
			msg, err = s.Read()
		}
		if ce, ok := errors.AsType[*CloseError](err); ok {
			o.code, o.remote, o.reason = ce.Code, ce.Remote, ce.Reason
		}
		if err != nil {
			o.sent = c.sent()
			return o
		}
		o.messages = append(o.messages, string(msg))
	}
}

// theirs reads the stream with coder/websocket, and applies the rules of this package to what that returns.
// Partial is set if the stream ends inside a message.
func theirs(t testing.TB, client bool, limit int, stream []byte) (o outcome, partial bool) {
	c := &scripted{pieces: [][]byte{bytes.Clone(stream)}}
	ws := handshaken(t, client, c)
	ws.SetReadLimit(-1)
	defer func() {
		o.sent = c.sent()
		_ = ws.CloseNow()
	}()
	end := func(err error) {
		if ce, ok := errors.AsType[websocket.CloseError](err); ok {
			o.code, o.remote, o.reason = CloseCode(ce.Code), true, validText(ce.Reason)
		} else if !errors.Is(err, io.ErrUnexpectedEOF) {
			o.code = CloseProtocolError
		}
	}
	for {
		typ, r, err := ws.Reader(context.Background())
		if err != nil {
			end(err)
			return o, false
		}
		if typ != websocket.MessageText {
			o.code = CloseUnsupportedData
			return o, false
		}
		msg, err := io.ReadAll(r)
		if len(msg) > limit {
			o.code = CloseMessageTooBig
			return o, true
		}
		if err != nil {
			end(err)
			return o, true
		}
		o.messages = append(o.messages, string(msg))
	}
}

// handshaken makes a WebSocket of the library on a connection.
func handshaken(t testing.TB, client bool, c *scripted) *websocket.Conn {
	const key = "AAAAAAAAAAAAAAAAAAAAAA=="
	if client {
		ws, _, err := websocket.Dial(context.Background(), "ws://hub.test/", &websocket.DialOptions{
			HTTPClient: &http.Client{Transport: answering{c}}})
		if err != nil {
			t.Fatal(err)
		}
		return ws
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for k, v := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key} {
		r.Header.Set(k, v)
	}
	ws, err := websocket.Accept(hijackable{httptest.NewRecorder(), c}, r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return ws
}

// answering answers a handshake, and continues with the connection.
type answering struct{ conn *scripted }

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) {
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // see above
	return &http.Response{StatusCode: http.StatusSwitchingProtocols, Body: a.conn, Header: http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Accept": {base64.StdEncoding.EncodeToString(sum[:])}}}, nil
}

type hijackable struct {
	*httptest.ResponseRecorder
	conn *scripted
}

func (h hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, bufio.NewReadWriter(bufio.NewReader(h.conn), bufio.NewWriter(h.conn)), nil
}

// compare reports how the outcomes differ, "" if they may.
func compare(client bool, got, want outcome, partial bool) string {
	masked := client && got.code == CloseProtocolError && strings.Contains(got.reason, "masked")
	switch {
	case masked: // the library does not refuse a masked frame of a server
		want.messages = want.messages[:min(len(want.messages), len(got.messages))]
		want.code = got.code
	case got.code == CloseMessageTooBig && partial: // known by the header; the library has to read the message
		want.code = got.code
	}
	if !slices.Equal(got.messages, want.messages) || got.code != want.code || got.remote != want.remote && !masked {
		return "different"
	}
	if got.remote && got.reason != want.reason {
		return "another reason"
	}
	if !got.remote { // the library's texts differ, and it does not always send a close frame
		got.sent, want.sent = pongs(got.sent), pongs(want.sent)
	}
	if got.code != CloseProtocolError && !got.remote || masked { // what had not been written at the end is discarded
		want.sent = want.sent[:min(len(want.sent), len(got.sent))]
	}
	if !slices.Equal(got.sent, want.sent) {
		return "other frames were sent"
	}
	return ""
}

func pongs(sent []string) []string {
	return slices.DeleteFunc(slices.Clone(sent), func(frame string) bool { return strings.HasPrefix(frame, "88") })
}

// differ compares a stream, cut at the given positions and byte by byte.
func differ(t testing.TB, client bool, limit int, stream []byte, cuts []int) {
	t.Helper()
	want, partial := theirs(t, client, limit, stream)
	check := func(how string, try bool, pieces ...[]byte) {
		got := ours(client, limit, try, pieces...)
		if diff := compare(client, got, want, partial); diff != "" {
			t.Fatalf("%s, client %v, %s, TryRead %v: %.200x\n got %v\nwant %v", diff, client, how, try, stream, got, want)
		}
	}
	for _, cut := range cuts {
		check(fmt.Sprint("cut at ", cut), cut%2 == 0, stream[:cut], stream[cut:])
	}
	if len(stream) < 4<<10 {
		single := make([][]byte, len(stream))
		for i := range stream {
			single[i] = stream[i : i+1]
		}
		check("byte by byte", false, single...)
		check("byte by byte", true, single...)
	}
}

func everywhere(stream []byte) (cuts []int) {
	for i := range len(stream) + 1 {
		cuts = append(cuts, i)
	}
	return cuts
}

// wireFrame encodes a frame as the other side sends it. Wide is the number of bytes of the extended length: 0, 2 or 8.
func wireFrame(first byte, masked bool, wide int, payload string) []byte {
	out := []byte{first, byte(len(payload))}
	switch wide {
	case 2:
		out = binary.BigEndian.AppendUint16([]byte{first, 126}, uint16(len(payload)))
	case 8:
		out = binary.BigEndian.AppendUint64([]byte{first, 127}, uint64(len(payload)))
	}
	if !masked {
		return append(out, payload...)
	}
	out[1] |= maskedBit
	out = append(out, 1, 2, 3, 4)
	out = append(out, payload...)
	mask(out[len(out)-len(payload):], 0x04030201)
	return out
}

// streams are what is worth to be compared by name.
func streams(masked bool) map[string][]byte {
	f := func(first byte, payload string) []byte { return wireFrame(first, masked, 0, payload) }
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	text := f(0x81, "hello")
	list := map[string][]byte{
		"nothing":                      nil,
		"message":                      text,
		"empty message":                join(f(0x81, ""), text),
		"two messages and a ping":      join(text, f(0x89, "p"), text),
		"fragments":                    join(f(0x01, "a"), f(0x00, "b"), f(0x80, "c"), text),
		"empty fragments":              join(f(0x01, ""), f(0x00, ""), f(0x80, ""), text),
		"control inside fragments":     join(f(0x01, "a"), f(0x89, "ping"), f(0x00, "b"), f(0x8a, ""), f(0x80, "c"), text),
		"close inside fragments":       join(f(0x01, "a"), f(0x88, "\x03\xe8bye")),
		"close":                        join(text, f(0x88, "\x0f\xa1why"), text),
		"close without a code":         f(0x88, ""),
		"close with half a code":       f(0x88, "\x03"),
		"close with a long reason":     f(0x88, "\x03\xe8"+strings.Repeat("r", 123)),
		"close with a bad reason":      f(0x88, "\x03\xe8\xff\xfe"),
		"fragmented ping":              join(f(0x09, "x"), text),
		"fragmented close":             f(0x08, "\x03\xe8"),
		"long ping":                    join(wireFrame(0x89, masked, 2, strings.Repeat("x", 126)), text),
		"ping with a wide length":      join(wireFrame(0x89, masked, 2, "x"), text),
		"continuation of nothing":      join(f(0x80, "x"), text),
		"message inside a message":     join(f(0x01, "x"), text),
		"binary":                       join(text, f(0x82, "x"), text),
		"binary inside fragments":      join(f(0x01, "x"), f(0x82, "x")),
		"reserved opcode":              join(f(0x83, "x"), text),
		"reserved control opcode":      join(f(0x8b, "x"), text),
		"wide lengths":                 join(wireFrame(0x81, masked, 2, "x"), wireFrame(0x81, masked, 8, "y")),
		"wrong mask":                   join(text, wireFrame(0x81, !masked, 0, "x"), text),
		"wrong mask of a ping":         join(text, wireFrame(0x89, !masked, 0, "x"), text),
		"negative length":              append([]byte{0x81, 0x7f}, 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4),
		"huge length":                  append([]byte{0x81, 0x7f}, 0x7f, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4),
		"message of the limit":         join(wireFrame(0x81, masked, 2, strings.Repeat("x", 300)), text),
		"message over the limit":       join(wireFrame(0x81, masked, 2, strings.Repeat("x", 301)), text),
		"fragments over the limit":     join(f(0x01, strings.Repeat("x", 100)), wireFrame(0x80, masked, 2, strings.Repeat("x", 201)), text),
		"over the limit, then a close": join(wireFrame(0x81, masked, 2, strings.Repeat("x", 301)), f(0x88, "\x03\xe8")),
	}
	if masked { // what was built by hand
		for _, name := range []string{"negative length", "huge length"} {
			list[name][1] |= maskedBit
		}
	}
	for _, bit := range []byte{0x40, 0x20, 0x10} {
		list[fmt.Sprintf("reserved bit %x of a message", bit)] = join(text, f(0x81|bit, "x"), text)
		list[fmt.Sprintf("reserved bit %x of a ping", bit)] = join(text, f(0x89|bit, "x"), text)
	}
	for _, code := range []uint16{0, 999, 1000, 1003, 1004, 1005, 1006, 1007, 1014, 1015, 1016, 2999, 3000, 4999, 5000, 65535} {
		list[fmt.Sprint("close with ", code)] = f(0x88, string(binary.BigEndian.AppendUint16(nil, code))+"x")
	}
	return list
}

func TestReadsAsTheLibraryDoes(t *testing.T) {
	const limit = 300
	for _, client := range []bool{false, true} {
		for name, stream := range streams(!client) {
			t.Run(fmt.Sprintf("%s, client %v", name, client), func(t *testing.T) {
				differ(t, client, limit, stream, everywhere(stream))
				for end := range stream {
					differ(t, client, limit, stream[:end], []int{end})
				}
			})
		}
		random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same every time
		for range 4000 {
			stream := randomStream(random, !client)
			differ(t, client, limit, stream, everywhere(stream))
		}
	}
}

// Messages larger than the buffer, cut near its borders and those of the frames.
func TestReadsLargeMessagesAsTheLibraryDoes(t *testing.T) {
	for _, client := range []bool{false, true} {
		for _, size := range []int{16<<10 - 9, 16 << 10, 20_000, 64<<10 - 1, 70_000, 300_000} {
			payload := strings.Repeat("0123456789abcdefghijklmnopqrstuvwxyz", size/36+1)[:size]
			stream := bytes.Join([][]byte{
				wireFrame(0x81, !client, 0, "before"), wireFrame(0x81, !client, 8, payload),
				wireFrame(0x01, !client, 8, payload), wireFrame(0x89, !client, 0, "ping"), wireFrame(0x80, !client, 8, payload),
				wireFrame(0x81, !client, 0, "after"),
			}, nil)
			var cuts []int
			for _, border := range []int{0, 6, 16, 16 << 10, 64 << 10, size, size + 30, 2 * size, len(stream)} {
				for d := -2; d <= 2; d++ {
					if cut := border + d; cut >= 0 && cut <= len(stream) {
						cuts = append(cuts, cut)
					}
				}
			}
			differ(t, client, 1<<20, stream, cuts)
		}
	}
}

// randomStream makes frames that are mostly allowed.
func randomStream(r *rand.Rand, masked bool) (stream []byte) {
	firsts := []byte{0x81, 0x81, 0x81, 0x01, 0x00, 0x80, 0x80, 0x89, 0x8a, 0x88, 0x82, 0x08, 0x83, 0xc1}
	for range 1 + r.IntN(6) {
		payload := strings.Repeat("p", r.IntN(12))
		first := firsts[r.IntN(10+r.IntN(5))]
		if first == 0x88 {
			payload = string(binary.BigEndian.AppendUint16(nil, uint16(990+r.IntN(30)))) + payload
		}
		wide := 0
		if r.IntN(5) == 0 {
			wide = []int{2, 8}[r.IntN(2)]
		}
		stream = append(stream, wireFrame(first, masked != (r.IntN(40) == 0), wide, payload)...)
	}
	if r.IntN(4) == 0 && len(stream) > 0 {
		stream[r.IntN(len(stream))] ^= 1 << r.IntN(8)
	}
	return stream[:len(stream)-r.IntN(2)*r.IntN(len(stream)+1)]
}

func FuzzReadsAsTheLibraryDoes(f *testing.F) {
	for _, client := range []bool{false, true} {
		for _, stream := range streams(!client) {
			f.Add(client, uint16(len(stream)/2), stream)
		}
	}
	f.Fuzz(func(t *testing.T, client bool, cut uint16, stream []byte) {
		if len(stream) > 4<<10 {
			return
		}
		differ(t, client, 300, stream, []int{min(int(cut), len(stream))})
	})
}
