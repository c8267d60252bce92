package gateway

import (
	"cmp"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/alkdev/hubspoke/call"
)

// callStream makes a call that answers many times and sends each answer as it comes: as server-sent
// events if the client accepts them, else as lines of JSON.
func (g *Handler) callStream(w http.ResponseWriter, r *http.Request, id *call.Identity, req *call.Request) {
	if e := g.streams.enter(id.ID); e != nil {
		fail(w, e)
		return
	}
	defer g.streams.leave(id.ID)
	ctx, cancel := untilEnded(r.Context(), id)
	defer cancel()
	s := &values{stream: newStream(w, cancel), contentType: linesType}
	if acceptsEvents(r.Header) {
		s.contentType = eventsType
	}
	stop := s.every(g.opts.KeepAlive)
	var failed error
	for env, err := range g.hub.Stream(ctx, req) {
		if err != nil {
			failed = err
			break
		}
		if !s.value(env) {
			break
		}
	}
	stop()
	s.end(failed)
}

// acceptsEvents reports whether the client asks for server-sent events by their name.
func acceptsEvents(header http.Header) bool {
	for _, accept := range header.Values("Accept") {
		for one := range strings.SplitSeq(accept, ",") {
			media, params, err := mime.ParseMediaType(one)
			if err != nil || media != eventsType {
				continue
			}
			if weight, err := strconv.ParseFloat(cmp.Or(params["q"], "1"), 64); err == nil && weight > 0 {
				return true
			}
		}
	}
	return false
}

// values writes the answers of a stream.
type values struct {
	contentType string

	mu     sync.Mutex // held while the stream is used
	stream *stream
}

// every keeps the connection alive while no values come, until stop is called. The header is sent with that, too.
func (s *values) every(d time.Duration) (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(d)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				s.keepAlive()
			case <-done:
				return
			}
		}
	})
	return func() { close(done); wg.Wait() }
}

func (s *values) keepAlive() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ready() && s.contentType == eventsType {
		s.stream.keepAlive()
	}
}

// ready sends the header if that has not been done, and reports whether values can be written.
func (s *values) ready() bool {
	return !s.stream.failed && (s.stream.begun || s.stream.begin(s.contentType))
}

// value sends one answer and reports whether the client takes more.
func (s *values) value(env call.Envelope) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ready() {
		return false
	}
	text, _ := env.MarshalJSON() // never fails
	if s.contentType == eventsType {
		s.stream.event(nil, text)
	} else {
		s.stream.line(text)
	}
	return !s.stream.failed
}

// end reports how the stream has ended: an error before the first value is the whole answer.
func (s *values) end(failed error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if failed != nil && !s.stream.begun && !s.stream.failed {
		fail(s.stream.w, failed)
		return
	}
	if !s.ready() {
		return
	}
	events := s.contentType == eventsType
	switch {
	case failed == nil && events:
		s.stream.event([]byte("end"), []byte("{}"))
	case failed != nil && events:
		s.stream.event([]byte("error"), errorText(asError(failed)))
	case failed != nil:
		s.stream.line(append(append([]byte(`{"error":`), errorText(asError(failed))...), '}'))
	}
}
