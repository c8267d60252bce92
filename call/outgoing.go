package call

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/alkdev/hubspoke/internal/jsonscan"
	"github.com/alkdev/hubspoke/internal/wire"
)

// Copy sets r to the request that a [Caller] makes for req: a copy of it, with Stream set to stream and the parent that
// ctx names. It returns VALIDATION_ERROR if the request cannot be a frame. It is for implementations of [Caller].
func (r *Request) Copy(ctx context.Context, req *Request, stream bool) error {
	if req == nil {
		return &Error{Code: CodeValidation, Message: "the request is nil"}
	}
	*r = *req
	r.Stream = stream
	r.ParentID = ""
	if parent := FromContext(ctx); parent != nil {
		r.ParentID = parent.ID
	}
	if !ValidName(r.Operation) {
		return &Error{Code: CodeValidation, Message: "the operation's name is not namespace.name"}
	}
	if len(r.Input) > 0 {
		if err := jsonscan.Check(r.Input, jsonscan.MaxDepth); err != nil {
			return &Error{Code: CodeValidation, Message: "the input of " + r.Operation + " " + err.Error(), Cause: err}
		}
	}
	if len(r.Metadata) > 0 {
		r.Metadata = bytes.TrimLeft(r.Metadata, " \t\r\n")
		err := jsonscan.Check(r.Metadata, jsonscan.MaxDepth)
		if err == nil && jsonscan.Kind(r.Metadata) != '{' {
			err = errors.New("is not a JSON object")
		}
		if err != nil {
			return &Error{Code: CodeValidation, Message: "the metadata of " + r.Operation + " " + err.Error(), Cause: err}
		}
	}
	return r.checkNames()
}

// checkNames checks what a receiver checks in the other members, and that no text is changed on its way.
func (r *Request) checkNames() error {
	bad := func(format string, args ...any) error {
		return &Error{Code: CodeValidation, Message: r.Operation + ": " + fmt.Sprintf(format, args...)}
	}
	switch {
	case len(r.To) > MaxNameBytes || !utf8.ValidString(r.To):
		return bad("the spoke id of call.To is not UTF-8 of at most %d bytes", MaxNameBytes)
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
		if err := id.check(); err != nil {
			return bad("%v", err)
		}
	}
	return nil
}
