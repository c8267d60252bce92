package hubtest_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub/hubtest"
)

// In a test of your own, t is its argument.
var t = new(exampleT)

func Example() {
	defer t.end()
	net := hubtest.New(t, nil)
	net.Spoke("worker-7", nil, func(r *call.Registry) {
		err := call.Handle(r, call.Operation{Name: "text.upper"}, func(_ context.Context, in string) (string, error) {
			return strings.ToUpper(in), nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	out, err := call.Invoke[string](t.Context(), net.Hub, "text.upper", "hello")
	fmt.Println(out, err)
	// Output: HELLO <nil>
}

func ExampleSpoke_Reconnect() {
	defer t.end()
	net := hubtest.New(t, nil)
	worker := net.Spoke("worker-7", nil, func(r *call.Registry) {
		err := call.Handle(r, call.Operation{Name: "text.upper"}, func(_ context.Context, in string) (string, error) {
			return strings.ToUpper(in), nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	if err := worker.Reconnect(t.Context()); err != nil {
		fmt.Println(err)
	}
	out, err := call.Invoke[string](t.Context(), net.Hub, "text.upper", "back again")
	fmt.Println(out, err)
	// Output: BACK AGAIN <nil>
}

// exampleT stands in for a test, which an example does not have.
type exampleT struct {
	testing.TB
	cleanups []func()
}

func (*exampleT) Helper()                     {}
func (*exampleT) Context() context.Context    { return context.Background() }
func (e *exampleT) Cleanup(f func())          { e.cleanups = append(e.cleanups, f) }
func (*exampleT) Fatal(args ...any)           { panic(fmt.Sprint(args...)) }
func (*exampleT) Fatalf(f string, arg ...any) { panic(fmt.Sprintf(f, arg...)) }
func (*exampleT) Errorf(f string, arg ...any) { fmt.Printf(f, arg...) }

func (e *exampleT) end() {
	for _, f := range e.cleanups {
		f()
	}
	e.cleanups = nil
}
