package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"

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
		w.Header().Set("Connection", "close") // or the server would read what nobody wants
		fail(w, tooLarge(limit))
		return nil, false
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if _, over := errors.AsType[*http.MaxBytesError](err); over {
		fail(w, tooLarge(limit))
		return nil, false
	}
	if err != nil {
		fail(w, invalid("the body ended early"))
		return nil, false
	}
	if len(raw) == 0 {
		return nil, true
	}
	// A frame that is not UTF-8 would cost a spoke its connection.
	if !utf8.Valid(raw) || !jsonscan.Valid(raw) {
		fail(w, invalid("the body is not JSON"))
		return nil, false
	}
	return raw, true
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
	return &call.Error{Code: call.CodeMessageTooLarge, Message: fmt.Sprintf("the body has more than %d bytes", limit)}
}
