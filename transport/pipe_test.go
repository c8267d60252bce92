package transport_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/transport"
	"github.com/alkdev/hubspoke/transport/transporttest"
)

func TestPipe(t *testing.T) {
	transporttest.TestConn(t, func(*testing.T) (client, server transport.Conn) {
		return transport.Pipe(&transport.PipeOptions{Linger: 50 * time.Millisecond})
	})
}

func TestPipeBoundsWhatWaits(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		a, b := transport.Pipe(&transport.PipeOptions{BufferBytes: 100})
		written := 0
		go func() {
			for a.Write([][]byte{[]byte(strings.Repeat("x", 36))}) == nil {
				written++
			}
		}()
		synctest.Wait()
		if written != 2 { // 36 and 14 bytes each; the third waits
			t.Errorf("%d writes returned", written)
		}
		if _, err := b.Read(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if written != 3 {
			t.Errorf("%d writes returned after one read", written)
		}
		b.Abort()
		a.Abort()
	})
}

func TestPipeLingersOneSecond(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		a, _ := transport.Pipe(nil)
		start := time.Now()
		a.Close(transport.CloseNormal, "")
		_, err := a.Read()
		if ce, ok := errors.AsType[*transport.CloseError](err); !ok || ce.Remote || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestPipeRefusesBadOptions(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	transport.Pipe(&transport.PipeOptions{BufferBytes: -1})
}
