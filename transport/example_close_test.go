package transport_test

import (
	"fmt"

	"github.com/alkdev/hubspoke/transport"
)

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
