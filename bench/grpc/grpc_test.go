package grpc_test

import (
	"testing"

	"github.com/alkdev/hubspoke/bench/contender"
	"github.com/alkdev/hubspoke/bench/contender/contract"
	"github.com/alkdev/hubspoke/bench/grpc"
)

func TestContender(t *testing.T) { contract.Check(t, grpc.Contender(), contender.Setup{}, true) }
