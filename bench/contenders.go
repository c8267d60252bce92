package main

import (
	"slices"

	"github.com/alkdev/hubspoke/bench/arpc"
	"github.com/alkdev/hubspoke/bench/centrifuge"
	"github.com/alkdev/hubspoke/bench/contender"
	"github.com/alkdev/hubspoke/bench/grpc"
	"github.com/alkdev/hubspoke/bench/nats"
	"github.com/alkdev/hubspoke/bench/own"
	"github.com/alkdev/hubspoke/bench/redisraw"
	"github.com/alkdev/hubspoke/bench/wsraw"
)

// contenders are all that can be measured, in the order of the tables: floors, hubspoke, peers.
func contenders() []contender.Contender {
	return slices.Concat(
		[]contender.Contender{wsraw.Contender(), redisraw.Contender(), own.Contender()},
		nats.Contenders(),
		centrifuge.Contenders(),
		arpc.Contenders(),
		[]contender.Contender{grpc.Contender()},
	)
}

func findContender(name string) (contender.Contender, bool) {
	all := contenders()
	i := slices.IndexFunc(all, func(c contender.Contender) bool { return c.Name == name })
	if i < 0 {
		return contender.Contender{}, false
	}
	return all[i], true
}
