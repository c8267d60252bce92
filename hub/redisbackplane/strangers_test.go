package redisbackplane_test

import (
	"bytes"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/internal/redistest"
)

// A hub that has not joined writes nothing to the directory, and its calls are errors.
func TestHubThatHasNotJoined(t *testing.T) {
	server := redistest.Start(t)
	dir, _, _ := rawDirectory(t, server.URL(), server)
	_, claim := dir.Claim(t.Context(), hub.Record{SpokeID: "x", HubID: "stranger"})
	for name, err := range map[string]error{
		"Claim": claim, "Release": dir.Release(t.Context(), "stranger", "x", 1),
		"Provide": dir.Provide(t.Context(), "stranger", "a.b"), "Withdraw": dir.Withdraw(t.Context(), "stranger", "a.b"),
	} {
		if err == nil || !strings.Contains(err.Error(), "not joined") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := server.Do("EXISTS", "alk:hubspoke:spoke:{x}", "alk:hubspoke:op:{a.b}"); got != "0" {
		t.Errorf("%s keys were written", got)
	}
}

// A letter that names no sender is garbage.
func TestLetterWithoutSender(t *testing.T) {
	server := redistest.Start(t)
	dir, lost, n := rawDirectory(t, server.URL(), server)
	letter := `{"spoke":"x","hub":"far","generation":` + strconv.FormatInt(claimed(t, dir, "x")+1, 10) + `,"identity":"someone","instance":"process","attempt":12}`
	for _, from := range []string{``, `"from":"",`, `"from":5,`} {
		server.Do("PUBLISH", "alk:hubspoke:inbox:{near}", `{`+from+`"mail":`+letter+`}`)
	}
	redistest.Poll(t, "the letters to be counted", func() bool { return n.bp.Stats().GarbageMessages == 3 })
	if k := len(lost); k != 0 {
		t.Errorf("%d spokes are lost", k)
	}
}

// A generation counts up to a day ahead of Redis' clock.
func TestGenerationAhead(t *testing.T) {
	server := redistest.Start(t)
	dir, _, _ := rawDirectory(t, server.URL(), server)
	for ahead, want := range map[time.Duration]bool{0: true, 23 * time.Hour: true, 25 * time.Hour: false} {
		id := "ahead-" + strconv.Itoa(int(ahead.Hours()))
		farRecord(server, "alk:hubspoke:spoke:{"+id+"}", strconv.FormatInt(time.Now().Add(ahead).UnixMilli(), 10))
		if _, found, err := dir.Spoke(t.Context(), id); found != want || err != nil {
			t.Errorf("%v ahead: found %v, %v", ahead, found, err)
		}
	}
}

// syncBuffer is a log that may be written and read concurrently.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) count(text string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Count(s.b.String(), text)
}

// The log reports each time that a hub loses its subscription and has one again, and nothing when it joins.
func TestLogOfSubscription(t *testing.T) {
	const lost, back = "does not hear the others", "hears the others again"
	server := redistest.Start(t)
	var log syncBuffer
	logger := zerolog.New(&log)
	rawDirectoryOn(t, server, join(t, server.URL(), &redisOptions{Logger: &logger}))
	for i := range 3 {
		if log.count(lost) != i || log.count(back) != i {
			t.Errorf("after %d: %s", i, log.b.String())
		}
		server.Do("CLIENT", "KILL", "TYPE", "pubsub")
		redistest.Poll(t, "the log", func() bool { return log.count(back) == i+1 })
	}
}
