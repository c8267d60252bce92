package centrifuge_test

import (
	"testing"

	"github.com/alkdev/hubspoke/bench/centrifuge"
	"github.com/alkdev/hubspoke/bench/contender"
	"github.com/alkdev/hubspoke/bench/contender/contract"
	"github.com/alkdev/hubspoke/internal/redistest"
)

func TestContenders(t *testing.T) {
	s := contender.Setup{Redis: redistest.Any(t).URL()}
	for _, c := range centrifuge.Contenders() {
		t.Run(c.Name, func(t *testing.T) { contract.Check(t, c, s, false) })
	}
}
