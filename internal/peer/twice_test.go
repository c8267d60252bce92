package peer

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/bubble"
)

// An answer with more than one requestId ends every call that it names, so that no caller waits for its timeout.
func TestAnswerWithTwoIDs(t *testing.T) {
	for _, typ := range []string{"call.responded", "call.error"} {
		for _, ids := range [][]int{{1, 1}, {1, 2}, {2, 1}, {1, 9}, {9, 1}, {1, 1, 1}} {
			t.Run(fmt.Sprint(typ, ids), func(t *testing.T) {
				bubble.Test(t, func(t *testing.T) {
					a, w := wired(t, config{IDPrefix: "c"})
					ended := map[int]chan error{}
					for i := 1; i <= 3; i++ {
						c := make(chan error, 1)
						ended[i] = c
						go func() {
							_, err := a.Call(t.Context(), unary("x.y", "1"))
							c <- err
						}()
						synctest.Wait()
						w.want("call.requested", fmt.Sprintf(`"c%d"`, i))
					}
					members := ""
					named := map[int]bool{}
					for _, i := range ids {
						members += fmt.Sprintf(`"requestId":"c%d",`, i)
						named[i] = true
					}
					w.send(typ + " {" + members + `"code":"A","output":1}`)
					for i, c := range ended {
						select {
						case err := <-c:
							if !named[i] || !errors.Is(err, call.CodeExecution) {
								t.Errorf("call %d: %v", i, err)
							}
						default:
							if named[i] {
								t.Errorf("call %d waits", i)
							}
						}
					}
				})
			})
		}
	}
}
