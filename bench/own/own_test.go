package own_test

import (
	"bytes"
	"testing"

	"github.com/alkdev/hubspoke/bench/contender"
	"github.com/alkdev/hubspoke/bench/contender/contract"
	"github.com/alkdev/hubspoke/bench/loopback"
	"github.com/alkdev/hubspoke/bench/own"
	"github.com/alkdev/hubspoke/bench/process"
	"github.com/alkdev/hubspoke/internal/redistest"
)

func TestContender(t *testing.T) {
	contract.Check(t, own.Contender(), contender.Setup{Redis: redistest.Any(t).URL()}, true)
}

func TestTLSAndSchemas(t *testing.T) {
	cert, key, err := loopback.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	c := own.Contender()
	c.Across = nil
	contract.Check(t, c, contender.Setup{TLS: true, CertPEM: cert, KeyPEM: key, Operations: 3, Schemas: true}, true)
}

// Typed calls carry what the workloads send and nothing else.
func TestTyped(t *testing.T) {
	s := contender.Setup{Typed: true, Redis: redistest.Any(t).URL()}
	for name, open := range map[string]func(contender.Setup) (contender.Caller, error){
		"Call": own.Call, "Route": own.Route, "Across": own.Across,
	} {
		t.Run(name, func(t *testing.T) {
			caller, err := open(s)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := caller.Close(); err != nil {
					t.Error(err)
				}
			}()
			for seq := range uint64(3) {
				payload := process.Payload(nil, seq, 128)
				reply, err := caller.Call(t.Context(), payload)
				if err != nil || !bytes.Equal(reply, payload) {
					t.Fatalf("sent %s, got %s, %v", payload, reply, err)
				}
			}
			if _, err := caller.Call(t.Context(), []byte(`{"text":"of another type, but long enough"}`)); err == nil {
				t.Error("a payload of another type was taken")
			}
		})
	}
}

func TestAcrossWithoutRedis(t *testing.T) {
	if c, err := own.Across(contender.Setup{Redis: "redis://127.0.0.1:1"}); err == nil {
		_ = c.Close()
		t.Error("it started without a Redis")
	}
}
