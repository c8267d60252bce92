package transport_test

import (
	"fmt"

	"github.com/alkdev/hubspoke/transport"
)

func ExampleAppendFrame() {
	buffer := transport.AppendFrame(nil, "door.opened", []byte(`{"door":3}`))
	buffer = append(buffer, '\n')
	buffer = transport.AppendFrame(buffer, "__ping", nil)
	fmt.Printf("%s\n", buffer)
	// Output:
	// {"type":"door.opened","payload":{"door":3}}
	// {"type":"__ping","payload":null}
}

// One rule for every client: 4500 to 4999 stop, everything else come back.
func ExampleCloseCode_Terminal() {
	for _, code := range []transport.CloseCode{
		transport.CloseServiceRestart, transport.CloseSlowConsumer, transport.CloseNotAuthenticated, transport.CloseKicked,
	} {
		fmt.Println(int(code), code, code.Terminal())
	}
	// Output:
	// 1012 service restart false
	// 4002 slow consumer false
	// 4500 not authenticated true
	// 4503 disconnected by the operator true
}
