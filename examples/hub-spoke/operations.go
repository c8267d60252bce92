package main

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/spoke"
)

// The operations that a spoke of this program serves.
const (
	opWordCount = "text.wordcount"
	opLines     = "text.lines"
	opSymbols   = "go.symbols"
)

// registerOperations puts them into the spoke. Each answer says in its meta which spoke gave it.
func registerOperations(s *spoke.Spoke) error {
	r := s.Operations()
	r.Use(signedBy(s.ID))
	return errors.Join(
		call.Handle(r, call.Operation{
			Name: opWordCount, Description: "counts the words, lines and bytes of a text", InputSchema: textSchema,
		}, wordCount),
		call.HandleStream(r, call.Operation{
			Name: opLines, Description: "sends a text line by line", InputSchema: textSchema,
		}, sendLines),
		call.Handle(r, call.Operation{
			Name: opSymbols, Description: "counts the declarations of a Go source file", InputSchema: sourceSchema,
			ErrorCodes: []call.Code{codeSyntax},
		}, symbols),
	)
}

var (
	textSchema   = json.RawMessage(`{"type":"object","properties":{"text":{"type":"string"}},"required":["text"]}`)
	sourceSchema = json.RawMessage(`{"type":"object","properties":{"name":{"type":"string"},"source":{"type":"string"}},"required":["source"]}`)
)

// signedBy says in every answer which spoke gave it: in its meta, next to what the framework says
// there, and in the details of an error of the handler's own.
func signedBy(id func() string) call.Interceptor {
	return func(next call.Handler) call.Handler {
		return func(ctx context.Context, req *call.Request, send func(call.Envelope) error) error {
			err := next(ctx, req, func(e call.Envelope) error {
				if e.Meta == nil { // the framework would fill it in behind us
					e.Meta = json.RawMessage(`{"source":"local"}`)
				}
				e.Meta = withSpoke(e.Meta, id())
				return send(e)
			})
			if e, ok := err.(*call.Error); ok { //nolint:errorlint // what stands around an error is not ours to drop
				signed := *e
				signed.Details = withSpoke(e.Details, id())
				return &signed
			}
			return err
		}
	}
}

// withSpoke adds a spokeId to a JSON object; nil is an empty one.
func withSpoke(object json.RawMessage, id string) json.RawMessage {
	member, err := json.Marshal(map[string]string{"spokeId": id})
	if err != nil || len(object) <= len("{}") {
		return member // a map of strings always marshals
	}
	return append(append(object[:len(object)-1:len(object)-1], ','), member[1:]...)
}

// spokeOf reads what withSpoke wrote.
func spokeOf(object json.RawMessage) string {
	var by struct {
		SpokeID string `json:"spokeId"`
	}
	if json.Unmarshal(object, &by) != nil {
		return ""
	}
	return by.SpokeID
}

// missing returns the refusal of an input that lacks a member; encoding/json would take it for an empty text. The handlers
// return it before they do anything.
func missing(operation, member string) error {
	return call.Refuse(&call.Error{Code: call.CodeValidation,
		Message: "the input of " + operation + ` has no string "` + member + `"`})
}
