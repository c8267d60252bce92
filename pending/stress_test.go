package pending_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/alkdev/hubspoke/pending"
)

// Callers, a reader that answers, and a Close in the middle: every request ends exactly once, and nothing is left.
func TestManyCallersAndClose(t *testing.T) {
	var m pending.Map
	asked := make(chan string, 64)
	cause := errors.New("gone")
	var reader, callers sync.WaitGroup
	reader.Go(func() { answer(&m, asked) })
	var ended atomic.Int64
	for c := range 8 {
		callers.Go(func() {
			for i := range 200 {
				err := oneCall(&m, fmt.Sprint(c, ".", i), i, asked)
				if err != nil && !errors.Is(err, cause) && !errors.Is(err, errRemote) && !errors.Is(err, context.Canceled) {
					t.Errorf("a call ended with %v", err)
				}
				ended.Add(1)
				if c == 0 && i == 150 {
					m.Close(cause)
				}
			}
		})
	}
	callers.Wait()
	close(asked)
	reader.Wait()
	if ended.Load() != 1600 || m.Len() != 0 {
		t.Errorf("%d of 1600 ended, %d in flight", ended.Load(), m.Len())
	}
}

func answer(m *pending.Map, asked <-chan string) {
	n := 0
	for id := range asked {
		n++
		switch n % 4 {
		case 0:
			m.Fail([]byte(id), errRemote)
		case 1:
			m.Respond([]byte(id), []byte(id))
			m.Respond([]byte(id), []byte(id))
			m.Complete([]byte(id))
		default:
			m.Respond([]byte(id), []byte(id))
			m.Complete([]byte(id))
		}
	}
}

func oneCall(m *pending.Map, id string, i int, asked chan<- string) error {
	r, err := m.Add(id, pending.Options{Stream: i%3 == 0, Credit: 4})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if i%7 == 0 {
		cancel()
	}
	asked <- id
	for {
		v, err := r.Next(ctx)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			r.Leave()
			return err
		case len(v) > 0 && string(v) != id:
			return fmt.Errorf("the answer of %s reached %s", v, id)
		}
		r.Grant(1)
	}
}
