package call_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/alkdev/hubspoke/call"
)

func nothing(context.Context, *call.Request, func(call.Envelope) error) error { return nil }

func TestRegistry(t *testing.T) {
	var r call.Registry
	for err, want := range map[error]error{
		r.Register(call.Operation{Name: "b.b"}, nothing):                  nil,
		r.Register(call.Operation{Name: "b.b"}, nothing):                  call.ErrDuplicateOperation,
		r.Register(call.Operation{Name: "bad"}, nothing):                  call.ErrInvalidOperation,
		r.Register(call.Operation{Name: "c.c"}, nil):                      call.ErrInvalidOperation,
		r.Register(call.Operation{Name: "c.c", Type: "strange"}, nothing): call.ErrInvalidOperation,
	} {
		if !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	if err := r.Register(call.Operation{Name: "a.a", Type: call.Mutation}, nothing); err != nil {
		t.Fatal(err)
	}
	ops := r.Operations()
	if len(ops) != 2 || ops[0].Name != "a.a" || ops[1].Name != "b.b" || ops[1].Type != call.Query {
		t.Errorf("%+v", ops)
	}
	ops[0].Name = "changed"
	if op, h, ok := r.Lookup("a.a"); !ok || h == nil || op.Type != call.Mutation {
		t.Errorf("%+v", op)
	}
	if r.Remove("x.x") || !r.Remove("a.a") {
		t.Error("Remove")
	}
	if _, _, ok := r.Lookup("a.a"); ok {
		t.Error("found after Remove")
	}
}

// trace is an interceptor that says when it is passed.
func trace(log *[]string, name string) call.Interceptor {
	return func(next call.Handler) call.Handler {
		return func(ctx context.Context, req *call.Request, send func(call.Envelope) error) error {
			*log = append(*log, name)
			defer func() { *log = append(*log, "/"+name) }()
			return next(ctx, req, send)
		}
	}
}

func TestUseOrder(t *testing.T) {
	var r call.Registry
	var log []string
	r.Use(trace(&log, "first"))
	err := call.Handle(&r, call.Operation{Name: "a.a"}, func(context.Context, int) (int, error) { log = append(log, "handler"); return 0, nil },
		trace(&log, "own1"), trace(&log, "own2"))
	if err != nil {
		t.Fatal(err)
	}
	r.Use(trace(&log, "second"), trace(&log, "third")) // those that are there get it too
	_, h, _ := r.Lookup("a.a")
	if err := h(t.Context(), &call.Request{}, func(call.Envelope) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(log, " "); got != "first second third own1 own2 handler /own2 /own1 /third /second /first" {
		t.Error(got)
	}
}

func TestRegistryConcurrently(t *testing.T) {
	var r call.Registry
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 50 {
				name := fmt.Sprintf("g%d.o%d", g%4, i)
				_ = r.Register(call.Operation{Name: name}, nothing)
				r.Lookup(name)
				r.Operations()
				if i%10 == 0 {
					r.Use(func(next call.Handler) call.Handler { return next })
				}
				r.Remove(name)
			}
		})
	}
	wg.Wait()
	if n := len(r.Operations()); n != 0 {
		t.Errorf("%d left", n)
	}
}

func TestHandleWithoutAFunction(t *testing.T) {
	var r call.Registry
	if err := call.Handle[int, int](&r, call.Operation{Name: "a.b"}, nil); !errors.Is(err, call.ErrInvalidOperation) {
		t.Error(err)
	}
	if err := call.HandleStream[int, int](&r, call.Operation{Name: "a.b"}, nil); !errors.Is(err, call.ErrInvalidOperation) {
		t.Error(err)
	}
	if len(r.Operations()) != 0 {
		t.Error("registered")
	}
}

// An interceptor is called once for each handler, not for each call, so that what it keeps for a handler lasts. Use calls
// the earlier ones again, because they are outside the new ones.
func TestInterceptorsAreCalledOncePerHandler(t *testing.T) {
	var r call.Registry
	made := map[string]int{}
	count := func(name string) call.Interceptor {
		return func(next call.Handler) call.Handler {
			made[name]++
			if _, _, ok := r.Lookup("x.x"); ok { // the registry is not locked
				t.Error("found")
			}
			calls := 0
			return func(ctx context.Context, req *call.Request, send func(call.Envelope) error) error {
				calls++
				if err := send(call.Envelope{Data: fmt.Append(nil, calls)}); err != nil {
					return err
				}
				return next(ctx, req, send)
			}
		}
	}
	run := func(name string, want string) {
		t.Helper()
		if sent, err := serve(t, &r, name, "null"); err != nil || strings.Join(sent, " ") != want {
			t.Errorf("%s: %q, %v, want %q", name, sent, err, want)
		}
	}
	check := func(want map[string]int) {
		t.Helper()
		if !maps.Equal(made, want) {
			t.Errorf("made %v, want %v", made, want)
		}
	}
	r.Use(count("first"))
	must(t, r.Register(call.Operation{Name: "a.a"}, nothing, count("own")))
	must(t, r.Register(call.Operation{Name: "b.b"}, nothing))
	check(map[string]int{"first": 2, "own": 1})
	for i := range 3 {
		run("a.a", fmt.Sprintf("%d %[1]d", i+1))
	}
	run("b.b", "1")
	check(map[string]int{"first": 2, "own": 1})
	r.Use(nil, count("second"))
	check(map[string]int{"first": 4, "second": 2, "own": 1})
	run("a.a", "1 1 4")
	run("a.a", "2 2 5")
	check(map[string]int{"first": 4, "second": 2, "own": 1})
}

// A typed handler and the type of its operation agree, or a caller that does not say what it wants gets the wrong form.
func TestHandleChecksTheType(t *testing.T) {
	var r call.Registry
	unary := func(context.Context, int) (int, error) { return 0, nil }
	stream := func(context.Context, int, func(int) error) error { return nil }
	for typ, want := range map[call.Type]struct{ unary, stream string }{
		"":                {},
		call.Query:        {"", "HandleStream registers"},
		call.Mutation:     {"", "HandleStream registers"},
		call.Subscription: {"Handle registers", ""},
		"strange":         {"unknown type", "unknown type"},
	} {
		check := func(err error, text string) {
			t.Helper()
			if (err == nil) != (text == "") || err != nil && (!errors.Is(err, call.ErrInvalidOperation) || !strings.Contains(err.Error(), text)) {
				t.Errorf("type %q: %v, want %q", typ, err, text)
			}
		}
		check(call.Handle(&r, call.Operation{Name: "unary.o" + string(typ), Type: typ}, unary), want.unary)
		check(call.HandleStream(&r, call.Operation{Name: "stream.o" + string(typ), Type: typ}, stream), want.stream)
		op, _, ok := r.Lookup("stream.o" + string(typ))
		if ok != (want.stream == "") || ok && op.Type != call.Subscription {
			t.Errorf("type %q: %v, %q", typ, ok, op.Type)
		}
	}
}
