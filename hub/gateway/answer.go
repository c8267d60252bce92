package gateway

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/alkdev/hubspoke/call"
)

// answer writes a JSON text. A client that does not take it in its time is cut off.
func answer(w http.ResponseWriter, status int, text []byte) {
	text = append(text, '\n')
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = w.Write(text)
}

// timedWriter sets a deadline for each piece of an answer.
type timedWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
}

// Unwrap is for [http.ResponseController].
func (w *timedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// writePiece is how much is written within one deadline: partial writes cannot be seen here.
const writePiece = 16 << 10

// Write writes and flushes, and leaves no deadline behind for what comes next on the connection.
func (w *timedWriter) Write(p []byte) (n int, err error) {
	for err == nil && n < len(p) {
		_ = w.control.SetWriteDeadline(time.Now().Add(w.timeout)) // a test's writer has none
		var m int
		m, err = w.ResponseWriter.Write(p[n:min(len(p), n+writePiece)])
		n += m
	}
	if err == nil {
		if err = w.control.Flush(); errors.Is(err, http.ErrNotSupported) {
			err = nil
		}
	}
	if err == nil {
		_ = w.control.SetWriteDeadline(time.Time{})
	}
	return n, err
}

func answerValue(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		fail(w, &call.Error{Code: call.CodeExecution, Message: "the answer cannot be marshalled"})
		return
	}
	answer(w, status, text)
}

// fail answers with an error under the status of the protocol's table.
func fail(w http.ResponseWriter, err error) {
	e := asError(err)
	status := statusOf(e.Code)
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	answerError(w, status, e)
}

func asError(err error) *call.Error {
	if e, ok := errors.AsType[*call.Error](err); ok {
		return e
	}
	return &call.Error{Code: call.CodeExecution, Message: err.Error(), Sent: true}
}

// failWith answers with an error that only HTTP has.
func failWith(w http.ResponseWriter, status int, code call.Code, message string) {
	answerError(w, status, &call.Error{Code: code, Message: message})
}

func answerError(w http.ResponseWriter, status int, e *call.Error) {
	answer(w, status, errorText(e))
}

func errorText(e *call.Error) []byte {
	text, _ := e.MarshalJSON() // never fails
	return text
}

func invalid(message string) *call.Error {
	return &call.Error{Code: call.CodeValidation, Message: message}
}

func denied(message string) *call.Error {
	return &call.Error{Code: call.CodeAccessDenied, Message: message}
}

func unavailable(message string) *call.Error {
	return &call.Error{Code: call.CodeUnavailable, Message: message, Retryable: true}
}
