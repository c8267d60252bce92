package call

import (
	"context"
	"encoding/json"
	"iter"
	"strconv"

	"github.com/alkdev/hubspoke/internal/jsonscan"
	"github.com/alkdev/hubspoke/internal/wire"
)

// Result is one spoke's answer to a [Gather].
type Result[Out any] struct {
	// SpokeID names the spoke.
	SpokeID string
	// Output is the answer; the zero value with an Err.
	Output Out
	// Err is an [*Error] if this spoke failed, or nil. A spoke that did not answer in time has TIMEOUT.
	Err error
}

// Gather calls every spoke that serves the operation and that this identity may call, and yields each answer as it
// arrives. Timeout is the time of each spoke, 0 is 30 s; Credit and IdleTimeout are for the results. The other options are as
// for other calls, but To, WaitForSpoke and a negative Timeout do not apply and fail with VALIDATION_ERROR. Leaving the
// loop cancels the handlers.
//
// The error is for the gather itself, an [*Error] that is the last element; a spoke's failure is in its
// [Result]. If results of other hubs are missing, the error is UNAVAILABLE, and its details have the
// member "incomplete", an array of {hubId, code}.
func Gather[Out any](ctx context.Context, c Caller, operation string, in any, opts ...Option) iter.Seq2[Result[Out], error] {
	raw, err := encodeInput(operation, in)
	if err == nil && len(raw) > 0 { // it becomes part of another value
		if bad := jsonscan.Check(raw, jsonscan.MaxDepth); bad != nil {
			err = &Error{Code: CodeValidation, Message: "the input of " + operation + " " + bad.Error(), Cause: bad}
		}
	}
	if err != nil {
		return failed[Result[Out]](err)
	}
	req := NewRequest(wire.OperationGather, nil, opts...)
	switch {
	case req.To != "":
		err = inapplicable(operation, "call.To", "a gather calls all spokes")
	case req.WaitForSpoke:
		err = inapplicable(operation, "call.WaitForSpoke", "a gather calls the spokes that are there")
	case req.Timeout < 0:
		err = inapplicable(operation, "a negative call.Timeout", "each spoke of a gather has a time")
	}
	if err != nil {
		return failed[Result[Out]](err)
	}
	req.Input = gatherInput(operation, raw, req)
	// They are for each spoke; as the stream's own, the time would be up before the last answers of TIMEOUT.
	req.Selector, req.Timeout, req.FailFast = nil, 0, false
	all := c.Stream(ctx, req)
	return func(yield func(Result[Out], error) bool) {
		for env, err := range all {
			var r Result[Out]
			if err == nil {
				r, err = gatherResult[Out](operation, env.Data)
			}
			if !yield(r, withoutRefusal(err)) || err != nil {
				return
			}
		}
	}
}

func inapplicable(operation, option, why string) *Error {
	return &Error{Code: CodeValidation, Message: "the gather of " + operation + ": " + option + " does not apply: " + why}
}

func gatherInput(operation string, input json.RawMessage, req *Request) json.RawMessage {
	b := append([]byte(nil), `{"operationId":`...)
	b = jsonscan.AppendString(b, operation)
	b = append(b, `,"input":`...)
	if len(input) == 0 {
		input = json.RawMessage("null")
	}
	b = append(b, input...)
	if len(req.Selector) > 0 {
		labels, _ := json.Marshal(req.Selector) // a map of strings always marshals
		b = append(append(b, `,"selector":`...), labels...)
	}
	if req.Timeout > 0 {
		b = strconv.AppendInt(append(b, `,"timeout":`...), max(1, req.Timeout.Milliseconds()), 10)
	}
	if req.FailFast {
		b = append(b, `,"failFast":true`...)
	}
	return append(b, '}')
}

// gatherResult reads one value of the hub's stream: a spoke's result, or the gather's own failure.
func gatherResult[Out any](operation string, data json.RawMessage) (r Result[Out], err error) {
	var output, failure, incomplete []byte
	err = jsonscan.Decode(data,
		jsonscan.StringField("spokeId", &r.SpokeID),
		jsonscan.RawField("output", &output),
		jsonscan.RawField("error", &failure),
		jsonscan.RawField("incomplete", &incomplete))
	switch {
	case err != nil:
		return r, &Error{Code: CodeDecode, Sent: true, Cause: err, Message: "the hub's gather returned an invalid result: " + err.Error()}
	case incomplete != nil:
		return r, incompleteError(incomplete)
	case failure != nil:
		e := new(Error)
		_ = e.UnmarshalJSON(failure) // never fails
		r.Err = e
	default:
		var env Envelope
		env.Data, env.Meta = wire.ParseEnvelope(output)
		r.Output, r.Err = decodeOutput[Out](operation, env)
	}
	return r, nil
}

// incompleteError makes the last element of a gather that lacks the results of some hubs.
func incompleteError(list json.RawMessage) *Error {
	msg := "the results are incomplete"
	c := jsonscan.Read(list)
	if c.Array() {
		for c.Element() {
			var hubID, code string
			if jsonscan.Decode(c.Value(), jsonscan.StringField("hubId", &hubID), jsonscan.StringField("code", &code)) != nil {
				continue
			}
			if hubID == "" {
				msg += "; the directory: " + code
			} else {
				msg += "; hub " + hubID + ": " + code
			}
		}
	}
	details := append(append([]byte(`{"incomplete":`), list...), '}')
	return &Error{Code: CodeUnavailable, Retryable: true, Sent: true, Message: msg, Details: details}
}
