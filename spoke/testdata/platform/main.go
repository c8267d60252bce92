// Command platform is a spoke on the WebSocket of a JavaScript platform, for TestPlatformSpoke.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/spoke"
)

func main() {
	s, err := spoke.New(os.Args[1], &spoke.Options{ID: "platform", Token: spoke.StaticToken(os.Args[2])})
	if err == nil {
		err = call.Handle(s.Operations(), call.Operation{Name: "test.echo"}, func(_ context.Context, in string) (string, error) { return in, nil })
	}
	if err == nil {
		err = s.Run(context.Background())
	}
	fmt.Println(err)
}
