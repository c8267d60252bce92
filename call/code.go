package call

// Code names what went wrong with a call (protocol section 3, "Errors"). It is an
// error itself, so that errors.Is(err, call.CodeTimeout) works on any error that
// has an [*Error] in its chain.
//
// A handler may use codes of its own: upper snake case, such as "OUT_OF_STOCK", at most 64 bytes. Any other is sent as
// EXECUTION_ERROR.
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

// Error returns the code itself.
func (c Code) Error() string { return string(c) }

// retryable are the codes after which, by the protocol's table, a repeat may help. A handler's own code depends on
// [Error.Retryable].
var retryable = map[Code]bool{
	CodeOperationNotFound: true, CodeSpokeNotFound: true, CodeOverloaded: true, CodeUnavailable: true, CodeDisconnected: true,
}
