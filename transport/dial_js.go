package transport

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall/js"
	"time"

	"github.com/alkdev/hubspoke/internal/redact"
)

// Dial connects by the WebSocket of the platform; see Dialer. The platform sends no header but those of
// its own: the bearer token of an Authorization goes along as a subprotocol (protocol section 1), every
// other header is an error. The platform does not reveal why a handshake failed: there is no
// *HandshakeError.
func (d *WebSocketDialer) Dial(ctx context.Context, rawURL string, header http.Header) (Conn, error) {
	lim, err := d.parse()
	if err != nil {
		return nil, err
	}
	if err := ValidURL(rawURL); err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	if d.Client != nil {
		return nil, errors.New("transport: a platform WebSocket uses no http.Client: leave out WebSocketDialer.Client")
	}
	protocols, err := platformProtocols(d.Subprotocols, header)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, err // not reached: ValidURL has reported it
	}
	u.Scheme = strings.Replace(u.Scheme, "http", "ws", 1)
	c, err := newPlatformConn(u, protocols, lim)
	if err != nil {
		return nil, fmt.Errorf("transport: dial %s: %w", redact.URL(rawURL), err)
	}
	select {
	case <-c.opened:
		return c, nil
	case <-c.over:
		return nil, fmt.Errorf("transport: dial %s: the handshake failed; a platform WebSocket does not reveal why", redact.URL(rawURL))
	case <-ctx.Done():
		c.Abort()
		return nil, fmt.Errorf("transport: dial %s: %w", redact.URL(rawURL), context.Cause(ctx))
	}
}

func platformProtocols(subprotocols []string, header http.Header) ([]any, error) {
	var out []any
	for _, p := range subprotocols {
		out = append(out, p)
	}
	for name, values := range header {
		token, ok := strings.CutPrefix(strings.Join(values, ""), "Bearer ")
		if http.CanonicalHeaderKey(name) != "Authorization" || !ok {
			return nil, fmt.Errorf("transport: a platform WebSocket cannot send the header %s", name)
		}
		out = append(out, "hubspoke.bearer."+base64.RawURLEncoding.EncodeToString([]byte(token)))
	}
	return out, nil
}

// platformConn is a Conn on the WebSocket of a browser or of another platform of JavaScript.
type platformConn struct {
	ws     js.Value
	limits limits
	remote string
	opened chan struct{}
	over   chan struct{} // closed with the end
	ready  chan struct{} // has an element if messages may be waiting

	mu       sync.Mutex // guards the fields below
	messages []string
	seen     time.Time
	closing  *CloseError // this side has closed
	linger   *time.Timer
	end      error // what Read returns once the messages are read
	meter    Meter // the reader's
	handlers []js.Func
}

func newPlatformConn(u *url.URL, protocols []any, lim limits) (c *platformConn, err error) {
	defer func() {
		if p := recover(); p != nil { // the constructor throws for what it does not take, perhaps with the URL in its text
			c, err = nil, errors.New("the platform refuses the URL or a subprotocol")
		}
	}()
	c = &platformConn{limits: lim, remote: u.Host, seen: time.Now(),
		opened: make(chan struct{}), over: make(chan struct{}), ready: make(chan struct{}, 1)}
	c.ws = js.Global().Get("WebSocket").New(u.String(), protocols)
	c.ws.Set("binaryType", "arraybuffer")
	c.on("open", func(js.Value) { close(c.opened) })
	c.on("message", func(e js.Value) { c.received(e.Get("data")) })
	c.on("close", func(e js.Value) { c.closed(e.Get("code").Int(), e.Get("reason").String()) })
	return c, nil
}

// on sets a handler, which runs while Go does and must not wait.
func (c *platformConn) on(event string, handle func(event js.Value)) {
	f := js.FuncOf(func(_ js.Value, args []js.Value) any {
		handle(args[0])
		return nil
	})
	c.handlers = append(c.handlers, f)
	c.ws.Set("on"+event, f)
}

func (c *platformConn) received(data js.Value) {
	if data.Type() != js.TypeString {
		c.Close(CloseUnsupportedData, "binary message")
		return
	}
	text := data.String()
	if len(text) > c.limits.maxMessage {
		c.Close(CloseMessageTooBig, "message too big")
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = time.Now()
	if c.closing != nil || c.end != nil {
		return
	}
	c.messages = append(c.messages, text)
	select {
	case c.ready <- struct{}{}:
	default:
	}
}

func (c *platformConn) closed(code int, reason string) {
	const abnormal = 1006 // the connection was lost
	if code == abnormal {
		c.finish(lost(io.EOF), false)
		return
	}
	c.finish(&CloseError{Code: CloseCode(code), Reason: validText(reason), Remote: true}, false)
}

// finish ends the connection. drop discards the messages that are not read.
func (c *platformConn) finish(cause error, drop bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end != nil {
		return
	}
	if c.closing != nil {
		cause, drop = c.closing, true
	}
	c.end = cause
	if drop {
		c.messages = nil
	}
	if c.linger != nil {
		c.linger.Stop()
	}
	for _, event := range []string{"onopen", "onmessage", "onclose"} {
		c.ws.Set(event, js.Null())
	}
	for _, f := range c.handlers {
		f.Release()
	}
	close(c.over)
}

func (c *platformConn) TryRead() (msg []byte, ok bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.messages) == 0 {
		return nil, false, c.end
	}
	text := c.messages[0]
	c.messages = c.messages[1:]
	if c.meter != nil && !c.meter.Received(1, len(text)) {
		c.meter = nil
		c.closeLocked(CloseRateLimit, "rate limit exceeded")
		return nil, false, nil
	}
	return []byte(text), true, nil
}

func (c *platformConn) Read() ([]byte, error) {
	for {
		if msg, ok, err := c.TryRead(); ok || err != nil {
			return msg, err
		}
		select {
		case <-c.ready:
		case <-c.over:
		}
	}
}

// The platform accepts everything and reports how much of it has not been sent: Write waits while that is
// more than a chunk.
const platformPoll = 5 * time.Millisecond

func (c *platformConn) Write(messages [][]byte) error {
	for _, message := range messages {
		c.mu.Lock()
		err := c.end
		if err == nil && c.closing != nil {
			err = c.closing
		}
		if err == nil {
			c.ws.Call("send", string(message))
		}
		c.mu.Unlock()
		if err != nil {
			return err
		}
	}
	waiting, since := c.ws.Get("bufferedAmount").Int(), time.Now()
	for waiting > chunkBytes {
		select {
		case <-time.After(platformPoll):
		case <-c.over:
			return c.end
		}
		switch left := c.ws.Get("bufferedAmount").Int(); {
		case left < waiting:
			waiting, since = left, time.Now()
			c.mu.Lock()
			c.seen = since
			c.mu.Unlock()
		case time.Since(since) > c.limits.writeTimeout:
			c.finishNow(lost(context.DeadlineExceeded))
			return c.end
		}
	}
	return nil
}

// TryWrite is always false: how much the platform accepts without waiting is not known.
func (c *platformConn) TryWrite([][]byte) bool { return false }

// Ping fails: a platform sends no pings for a program.
func (c *platformConn) Ping() error { return errors.ErrUnsupported }

func (c *platformConn) Close(code CloseCode, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closeLocked(code, reason)
}

func (c *platformConn) closeLocked(code CloseCode, reason string) {
	if c.closing != nil || c.end != nil {
		return
	}
	c.closing = newClose(code, reason)
	c.messages = nil
	c.linger = time.AfterFunc(c.limits.linger, func() { c.finish(nil, true) })
	own := c.closing
	if own.Code == CloseNormal || own.Code >= 3000 {
		c.ws.Call("close", int(own.Code), own.Reason)
	} else { // a platform takes no other code
		c.ws.Call("close")
	}
}

func (c *platformConn) Abort() { c.finishNow(lost(errAborted)) }

// finishNow ends the connection without waiting for the platform, which closes it in its own time.
func (c *platformConn) finishNow(cause error) {
	c.finish(cause, true)
	c.ws.Call("close")
}

// LastReceived is when the last whole message came, or when the platform was last seen to send: it
// shows neither parts of messages nor pings.
func (c *platformConn) LastReceived() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen
}

func (c *platformConn) WholeMessages() bool { return true }
func (c *platformConn) RemoteAddr() string  { return c.remote }
func (c *platformConn) SetMeter(m Meter)    { c.meter = m }
