package call

import "github.com/alkdev/hubspoke/internal/wire"

// MarshalJSON gives the error as it stands on the wire, without a requestId: `code`, `message`, `retryable`, and
// `details` with `sent`. Details that are not a JSON object are left out.
func (e *Error) MarshalJSON() ([]byte, error) {
	f := wire.Failure{Code: string(e.Code), Message: e.Message, Retryable: e.Retryable, Sent: e.Sent, Details: e.Details}
	return append(wire.AppendFailureMembers([]byte{'{'}, &f), '}'), nil
}

// UnmarshalJSON reads what MarshalJSON writes, also the body of an HTTP gateway's error. Other members are ignored. What
// is absent or has the wrong JSON type takes the protocol's default: the code is EXECUTION_ERROR, Retryable is false, and
// Sent is what the table has for the code. It never fails.
func (e *Error) UnmarshalJSON(b []byte) error {
	f := wire.ParseFailure(b)
	*e = Error{Code: Code(f.Code), Message: f.Message, Retryable: f.Retryable, Sent: f.Sent, Details: f.Details}
	return nil
}
