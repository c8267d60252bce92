package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/jsonscan"
)

// body reads the JSON of a POST, or answers the request and gives false. What is empty is null,
// which is nil.
func (g *Handler) body(w http.ResponseWriter, r *http.Request) (json.RawMessage, bool) {
	if !isJSON(r.Header) {
		w.Header().Set("Accept", "application/json")
		failWith(w, http.StatusUnsupportedMediaType, "UNSUPPORTED_MEDIA_TYPE", "the Content-Type must be application/json")
		return nil, false
	}
	limit := g.opts.MaxMessageBytes
	if r.ContentLength > limit {
		fail(w, tooLarge(limit))
		return nil, false
	}
	raw, err := g.readBody(w, r, limit)
	if _, over := errors.AsType[*http.MaxBytesError](err); over {
		fail(w, tooLarge(limit))
		return nil, false
	}
	switch {
	case err != nil && g.hub.Draining():
		fail(w, unavailable("the hub is draining"))
		return nil, false
	case errors.Is(err, os.ErrDeadlineExceeded):
		failWith(w, http.StatusRequestTimeout, "REQUEST_TIMEOUT",
			fmt.Sprintf("the body did not come in %v and 1 s for each %d KiB of it (gateway.Options.ReadTimeout)", g.opts.ReadTimeout, slowBytes>>10))
		return nil, false
	case err != nil:
		fail(w, invalid("the body ended early"))
		return nil, false
	}
	w.Header().Del("Connection") // the connection is of use for the next request
	if len(raw) == 0 {
		return nil, true
	}
	if err := jsonscan.Check(raw, g.maxDepth); err != nil {
		fail(w, invalid("the body "+err.Error()))
		return nil, false
	}
	return raw, true
}

// slowBytes is what the slowest client sends or takes in a second.
const slowBytes = 16 << 10

// readBody reads the body in its time, unless the hub drains: then a call would be refused anyway, and the
// server's Shutdown would wait for the body.
func (g *Handler) readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength == 0 {
		return nil, nil
	}
	size := r.ContentLength
	if size < 0 {
		size = limit
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(g.opts.ReadTimeout + time.Duration(size)*time.Second/slowBytes)) // a test's writer has none
	cut := make(chan struct{})
	stop := context.AfterFunc(g.hub.Open(), func() {
		_ = control.SetReadDeadline(time.Now())
		close(cut)
	})
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if !stop() {
		<-cut
	}
	if err == nil {
		_ = control.SetReadDeadline(time.Time{}) // the server waits for the client's end from now on
	}
	return raw, err
}

// isJSON reports whether the body says that it is JSON as it is defined: UTF-8, not compressed. A
// page of another site cannot send that type without asking first.
func isJSON(header http.Header) bool {
	media, params, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil || media != "application/json" {
		return false
	}
	if charset, ok := params["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		return false
	}
	encoding := header.Get("Content-Encoding")
	return encoding == "" || strings.EqualFold(encoding, "identity")
}

func tooLarge(limit int64) *call.Error {
	return &call.Error{Code: call.CodeMessageTooLarge, Message: fmt.Sprintf("the body is too large: limit %d bytes (gateway.Options.MaxMessageBytes)", limit)}
}
