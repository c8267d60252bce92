package peer

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/rs/zerolog"

	"github.com/alkdev/hubspoke/call"
)

// A handler of this program answers as one behind a connection does.
func TestLocal(t *testing.T) {
	readerLeft := errors.New("the reader left")
	for name, c := range map[string]struct {
		stream bool
		h      call.Handler
		got    []string
		code   call.Code
		left   bool
	}{
		"echo":            {false, echo, []string{"1"}, "", false},
		"silent":          {false, func(context.Context, *call.Request, func(call.Envelope) error) error { return nil }, []string{"null"}, "", false},
		"silent stream":   {true, func(context.Context, *call.Request, func(call.Envelope) error) error { return nil }, nil, "", false},
		"fails":           {false, func(context.Context, *call.Request, func(call.Envelope) error) error { return errors.New("x") }, nil, call.CodeExecution, false},
		"panics":          {true, func(context.Context, *call.Request, func(call.Envelope) error) error { panic("x") }, nil, call.CodeExecution, false},
		"answers, fails":  {false, twice(errors.New("x")), []string{"1"}, "", false},
		"stream fails":    {true, twice(errors.New("x")), []string{"1", "1"}, call.CodeExecution, false},
		"answers, panics": {false, twice(nil), []string{"1"}, "", false},
		"stream panics":   {true, twice(nil), []string{"1", "1"}, call.CodeExecution, false},
		"reader left":     {true, twice(errors.New("x")), []string{"1"}, "", true},
		"left, panics":    {true, twice(nil), []string{"1"}, "", true},
	} {
		var got []string
		req := unary("x.y", "1")
		req.Stream = c.stream
		l := Local{Log: zerolog.Nop(), Counters: &Counters{}}
		err := l.Call(t.Context(), req, c.h, func(e call.Envelope) error {
			data := e.Data
			if data == nil {
				data = json.RawMessage("null")
			}
			if got = append(got, string(data)); c.left {
				return readerLeft
			}
			return nil
		})
		if len(got) != len(c.got) || c.left != errors.Is(err, readerLeft) || !c.left && (c.code == "") != (err == nil) || c.code != "" && !errors.Is(err, c.code) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if err := l.Idle(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// twice sends its input twice and then ends with err, or panics without one.
func twice(err error) call.Handler {
	return func(ctx context.Context, req *call.Request, send func(call.Envelope) error) error {
		_ = echo(ctx, req, send)
		_ = echo(ctx, req, send)
		if err == nil {
			panic("on purpose")
		}
		return err
	}
}
