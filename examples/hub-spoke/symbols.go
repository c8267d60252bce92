package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"

	"github.com/alkdev/hubspoke/call"
)

// codeSyntax is what go.symbols answers to a source that does not parse.
const codeSyntax call.Code = "SYNTAX_ERROR"

// sourceInput is the input of go.symbols. The name is for messages.
type sourceInput struct {
	Name   string  `json:"name"`
	Source *string `json:"source"`
}

// declarations is the output of go.symbols: how many a file declares of each, counted by name.
type declarations struct {
	Funcs   int `json:"funcs"`
	Methods int `json:"methods"`
	Types   int `json:"types"`
	Vars    int `json:"vars"`
	Consts  int `json:"consts"`
	Imports int `json:"imports"`
}

func symbols(_ context.Context, in sourceInput) (declarations, error) {
	if in.Source == nil {
		return declarations{}, missing(opSymbols, "source")
	}
	d, err := countDeclarations(in.Name, *in.Source)
	if err != nil {
		return d, syntaxError(err)
	}
	return d, nil
}

func countDeclarations(name, source string) (declarations, error) {
	var d declarations
	file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.SkipObjectResolution)
	if err != nil {
		return d, err
	}
	for _, decl := range file.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			if decl.Recv == nil {
				d.Funcs++
			} else {
				d.Methods++
			}
		case *ast.GenDecl:
			d.countSpecs(decl)
		}
	}
	return d, nil
}

func (d *declarations) countSpecs(decl *ast.GenDecl) {
	for _, spec := range decl.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			d.Types++
		case *ast.ImportSpec:
			d.Imports++
		case *ast.ValueSpec:
			if decl.Tok == token.CONST {
				d.Consts += len(spec.Names)
			} else {
				d.Vars += len(spec.Names)
			}
		}
	}
}

// syntaxError says where the parser stopped understanding.
func syntaxError(err error) *call.Error {
	out := &call.Error{Code: codeSyntax, Message: err.Error(), Cause: err}
	if errs, ok := errors.AsType[scanner.ErrorList](err); ok && len(errs) > 0 {
		out.Message = errs[0].Error() // of hundreds that may follow from it
		out.Details = json.RawMessage(fmt.Sprintf(`{"line":%d,"column":%d,"errors":%d}`,
			errs[0].Pos.Line, errs[0].Pos.Column, len(errs)))
	}
	return out
}
