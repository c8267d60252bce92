package transport_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/alkdev/hubspoke/transport"
)

func ExamplePipe() {
	a, b := transport.Pipe(nil)
	_ = a.Write([][]byte{[]byte(`{"type":"one"}`), []byte(`{"type":"two"}`)})
	a.Close(transport.CloseReplaced, "by worker-8")
	for {
		message, err := b.Read()
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s\n", message)
	}
	// Output:
	// {"type":"one"}
	// {"type":"two"}
	// closed by the other side with 4502 (replaced by another instance): "by worker-8"
}

func ExampleAccept() {
	hub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := transport.Accept(w, r, nil)
		if err != nil {
			return // answered already
		}
		_ = conn.Write([][]byte{[]byte(`{"type":"hello"}`)})
		conn.Close(transport.CloseServiceRestart, "")
		_, _ = conn.Read() // until the spoke has answered
	}))
	defer hub.Close()

	var dialer transport.WebSocketDialer
	conn, err := dialer.Dial(context.Background(), hub.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	message, _ := conn.Read()
	fmt.Printf("%s\n", message)
	_, err = conn.Read()
	fmt.Println(err)
	// Output:
	// {"type":"hello"}
	// closed by the other side with 1012 (service restart)
}
