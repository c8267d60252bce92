package main

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/alkdev/hubspoke/call"
)

func TestWordCount(t *testing.T) {
	for text, want := range map[string]counts{
		"":               {0, 0, 0},
		"\n":             {0, 1, 1},
		"a":              {1, 1, 1},
		"one two\nthree": {3, 2, 13},
		"one\n\ntwo\n":   {2, 3, 9},
		"a\u0085b\u00a0": {2, 1, 6},
		" \ufeff ":       {1, 1, 5},
	} {
		if got := countText(text); got != want {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
	if _, err := wordCount(t.Context(), textInput{}); !errors.Is(err, call.CodeValidation) {
		t.Errorf("no text: %v", err)
	}
}

func TestLines(t *testing.T) {
	for text, want := range map[string][]line{
		"":         nil,
		"a":        {{1, "a"}},
		"a\r\n\nb": {{1, "a\r"}, {2, ""}, {3, "b"}},
		"a\n":      {{1, "a"}},
	} {
		var got []line
		if err := sendLines(t.Context(), textInput{&text}, func(l line) error { got = append(got, l); return nil }); err != nil {
			t.Fatal(err)
		}
		if len(got) != len(want) || len(got) != countText(text).Lines {
			t.Errorf("%q: %+v, want %+v", text, got, want)
			continue
		}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("%q: %+v, want %+v", text, got, want)
			}
		}
	}
	text, stop := "a\nb\n", errors.New("stop")
	sent := 0
	err := sendLines(t.Context(), textInput{&text}, func(line) error { sent++; return stop })
	if !errors.Is(err, stop) || sent != 1 {
		t.Errorf("a reader that leaves: %v after %d", err, sent)
	}
	if err := sendLines(t.Context(), textInput{}, nil); !errors.Is(err, call.CodeValidation) {
		t.Errorf("no text: %v", err)
	}
}

func TestSymbols(t *testing.T) {
	source := `package p
import ("fmt"; "os")
import "io"
type (A int; B = A)
var x, y = 1, 2
var z int
const (
	c = iota
	d
)
func f() { var local int; _ = local }
func (A) m() {}
func (*A) n() {}
`
	got, err := symbols(t.Context(), sourceInput{"p.go", &source})
	if want := (declarations{Funcs: 1, Methods: 2, Types: 2, Vars: 3, Consts: 2, Imports: 3}); err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	broken := "package p\nfunc {"
	_, err = symbols(t.Context(), sourceInput{"p.go", &broken})
	e, ok := errors.AsType[*call.Error](err)
	if !ok || e.Code != codeSyntax || e.Retryable || !strings.Contains(e.Message, "p.go:2:") ||
		!strings.Contains(string(e.Details), `"line":2`) {
		t.Errorf("a broken source: %+v", err)
	}
	if _, err = symbols(t.Context(), sourceInput{Name: "p.go"}); !errors.Is(err, call.CodeValidation) {
		t.Errorf("no source: %v", err)
	}
}

func TestAnswersAreSigned(t *testing.T) {
	req := &call.Request{Operation: opSymbols}
	handle := func(err error) (meta json.RawMessage, failure error) {
		h := signedBy(func() string { return `w"7` })(func(_ context.Context, _ *call.Request, send func(call.Envelope) error) error {
			if err != nil {
				return err
			}
			return send(call.Envelope{Data: json.RawMessage("1")})
		})
		failure = h(t.Context(), req, func(e call.Envelope) error { meta = e.Meta; return nil })
		return meta, failure
	}
	meta, err := handle(nil)
	if err != nil || spokeOf(meta) != `w"7` || !strings.Contains(string(meta), `"source":"local"`) || !json.Valid(meta) {
		t.Errorf("%s, %v", meta, err)
	}
	_, err = handle(&call.Error{Code: codeSyntax, Details: json.RawMessage(`{"line":1}`)})
	e, _ := errors.AsType[*call.Error](err)
	if e == nil || string(e.Details) != `{"line":1,"spokeId":"w\"7"}` {
		t.Errorf("%+v", err)
	}
	if _, err = handle(&call.Error{Code: codeSyntax}); spokeOf(errorDetails(err)) != `w"7` {
		t.Errorf("%+v", err)
	}
	plain := errors.New("plain")
	if _, err = handle(plain); err != plain { //nolint:errorlint // it must be the same
		t.Errorf("%v", err)
	}
}

func errorDetails(err error) json.RawMessage {
	if e, ok := errors.AsType[*call.Error](err); ok {
		return e.Details
	}
	return nil
}
