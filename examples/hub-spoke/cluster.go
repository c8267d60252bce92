package main

import (
	"context"
	"fmt"
	"time"

	"github.com/alkdev/hubspoke/call"
)

// homeLabel is the label that says which hub a spoke of the demo tries first.
const homeLabel = "home"

// comeBackLimit is how long the spokes of a hub that was killed may take to be back at another.
const comeBackLimit = 20 * time.Second

// asker is a connection of the demo's to one of the hubs. Where there are more, it has the text of
// each file counted by spokes that are at home at the next one, so that half of the calls cross hubs.
type asker struct {
	call.Caller
	far map[string]string // labels; nil selects nothing
}

// far selects the spokes that are at home at the hub after this one.
func (s *system) far(hub int) map[string]string {
	if len(s.hubs) == 1 {
		return nil
	}
	return map[string]string{homeLabel: s.hubName((hub + 1) % len(s.hubs))}
}

// hubsInWords is how a sentence about them begins.
func (s *system) hubsInWords() string {
	if len(s.hubs) == 1 {
		return "a hub"
	}
	return fmt.Sprintf("%d hubs joined by Redis", len(s.hubs))
}

// killHub kills the last hub in the middle of its work, as the kernel would. Its spokes, and who asks there, are to
// come back at the others by themselves.
func (s *system) killHub(context.Context) error {
	last := len(s.hubs) - 1
	for number := range s.spokesAtOnce() {
		if s.home(number+1) == last {
			s.stray = append(s.stray, spokeName(number+1))
		}
	}
	s.mu.Lock()
	victim := s.hubs[last]
	s.killed = victim.name
	s.mu.Unlock()
	victim.kill()
	return nil
}

// allBack asks each spoke of the hub that was killed, and fails if one does not answer.
func (s *system) allBack(ctx context.Context, j *job, c call.Caller) error {
	for _, name := range s.stray {
		var by string
		var out counts
		err := j.ask(ctx, c, opWordCount, []byte(`{"text":"back"}`), &out, &by, call.To(name), call.WaitForSpoke(), call.Timeout(comeBackLimit))
		if err == nil && by != name {
			err = fmt.Errorf("%q answered for it", by)
		}
		if err != nil {
			return fmt.Errorf("%s did not come back after %s was killed: %w", name, s.killed, err)
		}
	}
	return nil
}
