package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/jsonscan"
)

// The media types of streams.
const (
	eventsType = "text/event-stream"
	linesType  = "application/x-ndjson"
)

// stream writes an answer that has no end yet. It is for one goroutine at a time. A write that fails ends the
// stream's context; what is written after that is not.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	cancel  context.CancelFunc
	begun   bool
	failed  bool
	buf     []byte
}

func newStream(w http.ResponseWriter, cancel context.CancelFunc) *stream {
	return &stream{w: w, control: http.NewResponseController(w), cancel: cancel}
}

// begin sends the header.
func (s *stream) begin(contentType string) bool {
	header := s.w.Header()
	header.Set("Content-Type", contentType)
	header.Set("X-Accel-Buffering", "no")       // proxies like nginx would keep values back
	_ = s.control.SetReadDeadline(time.Time{})  // the server's own limits are for requests that end;
	_ = s.control.SetWriteDeadline(time.Time{}) // a writer that knows no deadlines has none to lift
	if err := s.control.Flush(); err != nil {
		header.Del("X-Accel-Buffering")
		fail(s.w, &call.Error{Code: call.CodeExecution, Message: "the server cannot stream"})
		s.failed = true
		s.cancel()
		return false
	}
	s.begun = true
	return true
}

// event sends an event of a name, nil for none, with a payload on one line.
func (s *stream) event(name []byte, payload json.RawMessage) {
	s.buf = s.buf[:0]
	if name != nil {
		s.buf = append(append(append(s.buf, "event: "...), name...), '\n')
	}
	s.buf = append(append(s.buf, "data: "...), oneLine(payload)...)
	s.buf = append(s.buf, "\n\n"...)
	s.write(s.buf)
}

// line sends a line of JSON.
func (s *stream) line(value json.RawMessage) {
	s.buf = append(append(s.buf[:0], oneLine(value)...), '\n')
	s.write(s.buf)
}

// oneLine is JSON without the line breaks that it may have between tokens.
func oneLine(value json.RawMessage) json.RawMessage {
	if !bytes.ContainsAny(value, "\r\n") {
		return value
	}
	var line bytes.Buffer
	if err := json.Compact(&line, value); err != nil {
		return json.RawMessage("null") // not reached: what is streamed is JSON
	}
	return line.Bytes()
}

// gap reports that events of a topic are missing here.
func (s *stream) gap(topic string, dropped int) {
	b := jsonscan.AppendString([]byte(`{"topic":`), topic)
	b = strconv.AppendInt(append(b, `,"dropped":`...), int64(dropped), 10)
	s.event([]byte("gap"), append(b, '}'))
}

func (s *stream) keepAlive() { s.write([]byte(": keep-alive\n\n")) }

func (s *stream) write(text []byte) {
	if s.failed {
		return
	}
	if _, err := s.w.Write(text); err != nil {
		s.failed = true
		s.cancel()
	}
}

// untilEnded ends a stream with the credentials of its reader. cancel releases its resources.
func untilEnded(parent context.Context, id *call.Identity) (ctx context.Context, cancel context.CancelFunc) {
	if id.Expires.IsZero() {
		ctx, cancel = context.WithCancel(parent)
	} else {
		ctx, cancel = context.WithDeadline(parent, id.Expires)
	}
	if id.Revoked != nil {
		go func() { // ends with the stream
			select {
			case <-id.Revoked:
				cancel()
			case <-ctx.Done():
			}
		}()
	}
	return ctx, cancel
}
