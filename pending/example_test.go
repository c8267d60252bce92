package pending_test

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/alkdev/hubspoke/pending"
)

// The caller adds a request and waits with Next; the connection's reader delivers by id.
func ExampleMap() {
	ctx := context.Background()
	var m pending.Map

	r, err := m.Add("1", pending.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	go m.Respond([]byte("1"), []byte(`"hello"`))

	value, err := r.Next(ctx)
	fmt.Println(string(value), err, m.Len())
	fmt.Println(m.Respond([]byte("1"), []byte(`"again"`)) == pending.Surplus)
	// Output:
	// "hello" <nil> 0
	// true
}

func ExampleMap_stream() {
	ctx := context.Background()
	var m pending.Map
	r, err := m.Add("1", pending.Options{Stream: true, Credit: 2})
	if err != nil {
		fmt.Println(err)
		return
	}
	m.Respond([]byte("1"), []byte("1"))
	m.Respond([]byte("1"), []byte("2"))
	r.Grant(1) // for one more
	m.Respond([]byte("1"), []byte("3"))
	m.Complete([]byte("1"))

	for {
		value, err := r.Next(ctx)
		if errors.Is(err, io.EOF) {
			return
		}
		fmt.Println(string(value), err)
	}
	// Output:
	// 1 <nil>
	// 2 <nil>
	// 3 <nil>
}

// Close fails every waiter and every later Add with its cause.
func ExampleMap_Close() {
	var m pending.Map
	r, _ := m.Add("1", pending.Options{})
	m.Close(errors.New("the connection was lost"))

	_, err := r.Next(context.Background())
	fmt.Println(err)
	_, err = m.Add("2", pending.Options{})
	fmt.Println(err)
	// Output:
	// the connection was lost
	// the connection was lost
}

// A caller that leaves is released; the request is in flight until the other side ends it.
func ExampleRequest_Leave() {
	var m pending.Map
	r, _ := m.Add("1", pending.Options{})
	fmt.Println(r.Leave(), m.Len())
	m.Fail([]byte("1"), errors.New("aborted"))
	fmt.Println(m.Len(), m.Stats().Unknown)
	// Output:
	// true 1
	// 0 1
}
