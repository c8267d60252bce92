package gateway

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/alkdev/hubspoke/call"
)

// answer writes a JSON text. A client that does not take it has gone.
func answer(w http.ResponseWriter, status int, text []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n'))
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
	e, ok := errors.AsType[*call.Error](err)
	if !ok {
		e = &call.Error{Code: call.CodeExecution, Message: err.Error(), Sent: true}
	}
	status := e.Code.HTTPStatus()
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	answerError(w, status, e)
}

// failWith answers with an error that only HTTP has.
func failWith(w http.ResponseWriter, status int, code call.Code, message string) {
	answerError(w, status, &call.Error{Code: code, Message: message})
}

func answerError(w http.ResponseWriter, status int, e *call.Error) {
	answer(w, status, append(call.AppendErrorMembers([]byte{'{'}, e), '}'))
}

func invalid(message string) *call.Error {
	return &call.Error{Code: call.CodeValidation, Message: message}
}

func denied(message string) *call.Error {
	return &call.Error{Code: call.CodeAccessDenied, Message: message}
}
