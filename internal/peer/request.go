package peer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/callcore"
	"github.com/alkdev/hubspoke/internal/jsonscan"
	"github.com/alkdev/hubspoke/internal/wire"
)

// CopyRequest sets r to the request that a hub or spoke makes for its caller's req: a copy of it, with Stream set to stream and
// the parent that ctx names. It returns VALIDATION_ERROR if the request cannot be a frame.
func CopyRequest(ctx context.Context, r, req *call.Request, stream bool) error {
	if req == nil {
		return &call.Error{Code: call.CodeValidation, Message: "the request is nil"}
	}
	*r = *req
	r.Stream = stream
	r.Outgoing = false // it is now on its way to a handler
	r.ParentID = ""
	if parent := call.FromContext(ctx); parent != nil {
		r.ParentID = parent.ID
	}
	if !callcore.ValidName(r.Operation) {
		return &call.Error{Code: call.CodeValidation, Message: "the operation's name is not namespace.name"}
	}
	if len(r.Input) > 0 {
		if err := jsonscan.Check(r.Input, jsonscan.MaxDepth); err != nil {
			return &call.Error{Code: call.CodeValidation, Message: "the input of " + r.Operation + " " + err.Error(), Cause: err}
		}
	}
	if len(r.Metadata) > 0 {
		r.Metadata = bytes.TrimLeft(r.Metadata, " \t\r\n")
		err := jsonscan.Check(r.Metadata, jsonscan.MaxDepth)
		if err == nil && jsonscan.Kind(r.Metadata) != '{' {
			err = errors.New("is not a JSON object")
		}
		if err != nil {
			return &call.Error{Code: call.CodeValidation, Message: "the metadata of " + r.Operation + " " + err.Error(), Cause: err}
		}
	}
	return checkNames(r)
}

// checkNames checks what a receiver checks in the other members, and that no text is changed on its way.
func checkNames(r *call.Request) error {
	bad := func(format string, args ...any) error {
		return &call.Error{Code: call.CodeValidation, Message: r.Operation + ": " + fmt.Sprintf(format, args...)}
	}
	switch {
	case !r.Stream && r.Credit != 0:
		return bad("call.Credit does not apply to a unary call: use call.Stream")
	case !r.Stream && r.IdleTimeout != 0:
		return bad("call.IdleTimeout does not apply to a unary call: use call.Timeout")
	case len(r.To) > wire.MaxNameBytes || !utf8.ValidString(r.To):
		return bad("the spoke id of call.To is not UTF-8 of at most %d bytes", wire.MaxNameBytes)
	case len(r.ParentID) > wire.MaxIDBytes || !utf8.ValidString(r.ParentID):
		return bad("ParentID is not UTF-8 of at most %d bytes", wire.MaxIDBytes)
	case len(r.OriginID) > wire.MaxIDBytes || !utf8.ValidString(r.OriginID):
		return bad("OriginID is not UTF-8 of at most %d bytes", wire.MaxIDBytes)
	}
	for label, value := range r.Selector {
		if !utf8.ValidString(label) || !utf8.ValidString(value) {
			return bad("the selector's label %q is not UTF-8", label)
		}
	}
	if id := r.Identity; id != nil {
		if err := callcore.CheckIdentity(id.ID, id.Scopes, id.Resources); err != nil {
			return bad("%v", err)
		}
	}
	return nil
}
