package wsraw_test

import (
	"bytes"
	"testing"

	"github.com/alkdev/hubspoke/bench/contender"
	"github.com/alkdev/hubspoke/bench/contender/contract"
	"github.com/alkdev/hubspoke/bench/loopback"
	"github.com/alkdev/hubspoke/bench/process"
	"github.com/alkdev/hubspoke/bench/wsraw"
)

func TestContender(t *testing.T) {
	contract.Check(t, wsraw.Contender(), contender.Setup{}, true)
}

func TestTLS(t *testing.T) {
	cert, key, err := loopback.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	contract.Check(t, wsraw.Contender(), contender.Setup{TLS: true, CertPEM: cert, KeyPEM: key}, true)
}

// A call of the floor costs one object, the reply: nobody can say that it was made weak.
func TestCallAllocatesItsReplyOnly(t *testing.T) {
	caller, err := wsraw.Call(contender.Setup{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := caller.Close(); err != nil {
			t.Error(err)
		}
	}()
	payload := process.Payload(nil, 1, 128)
	got := testing.AllocsPerRun(1000, func() {
		reply, err := caller.Call(t.Context(), payload)
		if err != nil || !bytes.Equal(reply, payload) {
			t.Fatalf("got %s, %v", reply, err)
		}
	})
	if got > 1 {
		t.Errorf("a call allocates %v objects, want 1", got)
	}
}
