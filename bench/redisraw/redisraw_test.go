package redisraw_test

import (
	"testing"

	"github.com/alkdev/hubspoke/bench/contender"
	"github.com/alkdev/hubspoke/bench/contender/contract"
	"github.com/alkdev/hubspoke/bench/redisraw"
	"github.com/alkdev/hubspoke/internal/redistest"
)

func TestContender(t *testing.T) {
	contract.Check(t, redisraw.Contender(), contender.Setup{Redis: redistest.Any(t).URL()}, false)
}

func TestWithoutRedis(t *testing.T) {
	for _, url := range []string{"", "redis://127.0.0.1:1"} {
		if c, err := redisraw.Across(contender.Setup{Redis: url}); err == nil {
			_ = c.Close()
			t.Errorf("it started with the Redis %q", url)
		}
	}
}
