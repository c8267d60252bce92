package arpc_test

import (
	"testing"

	"github.com/alkdev/hubspoke/bench/arpc"
	"github.com/alkdev/hubspoke/bench/contender"
	"github.com/alkdev/hubspoke/bench/contender/contract"
)

func TestContenders(t *testing.T) {
	for _, c := range arpc.Contenders() {
		t.Run(c.Name, func(t *testing.T) { contract.Check(t, c, contender.Setup{}, true) })
	}
}
