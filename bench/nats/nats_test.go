package nats_test

import (
	"testing"

	"github.com/alkdev/hubspoke/bench/contender"
	"github.com/alkdev/hubspoke/bench/contender/contract"
	"github.com/alkdev/hubspoke/bench/nats"
)

func TestContenders(t *testing.T) {
	for _, c := range nats.Contenders() {
		t.Run(c.Name, func(t *testing.T) { contract.Check(t, c, contender.Setup{}, true) })
	}
}
