package call

import (
	"net/http"

	"github.com/alkdev/hubspoke/internal/wire"
)

// Code names what went wrong with a call (protocol section 3, "Errors"). It is an
// error itself, so that errors.Is(err, call.CodeTimeout) works on any error that
// has an [*Error] in its chain.
//
// A handler may use codes of its own: upper snake case, such as "OUT_OF_STOCK".
type Code string

// The codes of the protocol.
const (
	CodeOperationNotFound Code = "OPERATION_NOT_FOUND" // no connected spoke serves the operation
	CodeSpokeNotFound     Code = "SPOKE_NOT_FOUND"     // the spoke asked for is not connected anywhere
	CodeAccessDenied      Code = "ACCESS_DENIED"       // the identity may not
	CodeValidation        Code = "VALIDATION_ERROR"    // the request or its input is malformed
	CodeMessageTooLarge   Code = "MESSAGE_TOO_LARGE"   // over the receiver's limit
	CodeOverloaded        Code = "OVERLOADED"          // every candidate is full
	CodeUnavailable       Code = "UNAVAILABLE"         // draining, or the backplane cannot be reached
	CodeDisconnected      Code = "DISCONNECTED"        // the way to the handler was lost
	CodeTimeout           Code = "TIMEOUT"             // the call's timeout expired
	CodeAborted           Code = "ABORTED"             // the caller canceled
	CodeSlowConsumer      Code = "SLOW_CONSUMER"       // the stream's reader fell behind
	CodeExecution         Code = "EXECUTION_ERROR"     // the handler failed without a code of its own
	CodeDecode            Code = "DECODE_ERROR"        // the caller cannot decode the output
)

// Error gives the code itself.
func (c Code) Error() string { return string(c) }

// statusClientClosed is what nginx answers when the client has gone; net/http has no name for it.
const statusClientClosed = 499

var codeTable = map[Code]struct {
	retryable bool
	status    int
}{
	CodeOperationNotFound: {true, http.StatusNotFound},
	CodeSpokeNotFound:     {true, http.StatusNotFound},
	CodeAccessDenied:      {false, http.StatusForbidden},
	CodeValidation:        {false, http.StatusBadRequest},
	CodeMessageTooLarge:   {false, http.StatusRequestEntityTooLarge},
	CodeOverloaded:        {true, http.StatusTooManyRequests},
	CodeUnavailable:       {true, http.StatusServiceUnavailable},
	CodeDisconnected:      {true, http.StatusBadGateway},
	CodeTimeout:           {false, http.StatusGatewayTimeout},
	CodeAborted:           {false, statusClientClosed},
	CodeSlowConsumer:      {false, http.StatusInternalServerError},
	CodeExecution:         {false, http.StatusInternalServerError},
	CodeDecode:            {false, http.StatusInternalServerError},
}

// HTTPStatus is the status that an HTTP gateway answers for the code: that of the
// protocol's table, and 422 for a handler's own code.
func (c Code) HTTPStatus() int {
	if row, ok := codeTable[c]; ok {
		return row.status
	}
	return http.StatusUnprocessableEntity
}

// Retryable reports whether the protocol's table says that a repeat may help. A
// handler's own code says so in [Error.Retryable]; here it is false.
func (c Code) Retryable() bool { return codeTable[c].retryable }

// MayHaveRun reports what the protocol's table says of a code whose error leaves
// `sent` out: whether the handler's own code can have run. It is true for codes
// that are not in the table, which only a handler can have made.
func (c Code) MayHaveRun() bool { return wire.MayHaveRun(string(c)) }

// Valid reports whether c is upper snake case: A-Z first, then A-Z, 0-9 and
// single underscores, at most 64 bytes.
func (c Code) Valid() bool { return wire.ValidCode(string(c)) }
