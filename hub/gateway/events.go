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
	"github.com/alkdev/hubspoke/pubsub"
)

// events streams a topic until the client goes or the hub drains.
func (g *Handler) events(w http.ResponseWriter, r *http.Request, id *call.Identity, topic string) {
	if err := g.hub.MaySubscribe(id, topic); err != nil {
		fail(w, err)
		return
	}
	ctx, cancel := untilEnded(r.Context(), id)
	defer cancel()
	defer context.AfterFunc(g.hub.Open(), cancel)() // the server would wait for the stream for ever
	if g.hub.Draining() {
		fail(w, unavailable("the hub is draining"))
		return
	}
	s := &eventStream{w: w, control: http.NewResponseController(w), timeout: g.opts.WriteTimeout, topic: topic, cancel: cancel}
	sub, err := pubsub.NewTopic[json.RawMessage](topic).Subscribe(ctx, g.hub.EventsAs(id), "", pubsub.OnGap(s.gap))
	if err != nil {
		fail(w, unavailable("the subscription was not made: "+err.Error()))
		return
	}
	defer sub.Stop()
	if !s.begin() {
		return
	}
	defer s.end()
	for {
		beat, stop := context.WithTimeout(ctx, g.opts.KeepAlive)
		for {
			payload, err := sub.Next(beat)
			if err != nil {
				break
			}
			s.event(payload)
		}
		over := ctx.Err() != nil || beat.Err() == nil // or the subscription itself has ended
		stop()
		if over {
			return
		}
		s.write([]byte(": keep-alive\n\n"))
	}
}

// untilEnded ends a stream with the credentials of its reader. cancel gives up what it holds.
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

func unavailable(message string) *call.Error {
	return &call.Error{Code: call.CodeUnavailable, Message: message, Retryable: true}
}

// eventStream writes server-sent events. It is for one goroutine. A write that fails ends the
// stream's context; what is written after that is not.
type eventStream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
	topic   string
	cancel  context.CancelFunc
	failed  bool
	buf     []byte
}

// begin sends the header and the line that says that the stream is live.
func (s *eventStream) begin() bool {
	header := s.w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("X-Accel-Buffering", "no")         // proxies like nginx would keep events back
	_ = s.control.SetReadDeadline(time.Time{})    // the server's own limits are for requests that end;
	_ = s.control.SetWriteDeadline(s.untilTime()) // a writer that knows no deadlines has none to lift
	if err := s.control.Flush(); err != nil {
		fail(s.w, &call.Error{Code: call.CodeExecution, Message: "the server cannot stream"})
		return false
	}
	s.write([]byte(": live\n\n"))
	return !s.failed
}

// end leaves no deadline behind for what comes next on the connection.
func (s *eventStream) end() { _ = s.control.SetWriteDeadline(time.Time{}) }

func (s *eventStream) untilTime() time.Time { return time.Now().Add(s.timeout) }

// event sends a payload on one line, which white space between tokens could break.
func (s *eventStream) event(payload json.RawMessage) {
	if bytes.ContainsAny(payload, "\r\n") {
		var line bytes.Buffer
		if err := json.Compact(&line, payload); err != nil {
			return // not reached: a subscription hands out JSON
		}
		payload = line.Bytes()
	}
	s.buf = append(append(s.buf[:0], "data: "...), payload...)
	s.write(append(s.buf, "\n\n"...))
}

// gap tells that events are missing here.
func (s *eventStream) gap(dropped int) {
	s.buf = append(s.buf[:0], "event: gap\ndata: {\"topic\":"...)
	s.buf = jsonscan.AppendString(s.buf, s.topic)
	s.buf = strconv.AppendInt(append(s.buf, `,"dropped":`...), int64(dropped), 10)
	s.write(append(s.buf, "}\n\n"...))
}

func (s *eventStream) write(text []byte) {
	if s.failed {
		return
	}
	_ = s.control.SetWriteDeadline(s.untilTime())
	_, err := s.w.Write(text)
	if err == nil {
		err = s.control.Flush()
	}
	if err != nil {
		s.failed = true
		s.cancel()
	}
}
