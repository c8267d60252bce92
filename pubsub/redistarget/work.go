package redistarget

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/rueidis"
)

const (
	// commandTopics is how many topics one command names, commandsAtOnce how many
	// commands go out together.
	commandTopics  = 256
	commandsAtOnce = 512
)

// job is one SUBSCRIBE or UNSUBSCRIBE.
type job struct {
	subscribe bool
	slot      uint16
	interests []*interest
}

// work sends what is to be done, until nothing is. An error is the link's end.
func (l *link) work(c *conn) error {
	t := l.t
	for {
		jobs := l.take()
		if len(jobs) == 0 {
			return nil
		}
		commands := make([]rueidis.Completed, len(jobs))
		for i, j := range jobs {
			commands[i] = l.command(c, j)
		}
		ctx, cancel := context.WithTimeout(t.closing, t.opts.Timeout)
		results := c.client.DoMulti(ctx, commands...)
		cancel()
		for i, j := range jobs {
			if err := l.settle(j, results[i].Error()); err != nil {
				return err
			}
		}
	}
}

// take makes jobs of what the list holds. In a cluster a command for sharded
// channels may name those of one slot only.
func (l *link) take() []*job {
	t := l.t
	t.mu.Lock()
	defer t.mu.Unlock()
	type kind struct {
		subscribe bool
		slot      uint16
	}
	var jobs []*job
	open := make(map[kind]*job)
	taken := 0
	for _, in := range l.todo {
		if len(jobs) >= commandsAtOnce {
			break
		}
		taken++
		if in.link != l {
			continue
		}
		in.queued = false
		subscribe, unsubscribe := in.needs()
		if !subscribe && !unsubscribe {
			continue
		}
		k := kind{subscribe, in.slot}
		j := open[k]
		if j == nil || len(j.interests) >= commandTopics || in.alone {
			j = &job{subscribe: subscribe, slot: in.slot}
			jobs = append(jobs, j)
			if !in.alone {
				open[k] = j
			}
		}
		j.interests = append(j.interests, in)
		if subscribe {
			in.asking = true
			in.asked, in.waiting = append(in.asked, in.waiting...), nil
		} else {
			in.leaving = true
		}
	}
	rest := l.todo[taken:]
	if len(rest) == 0 {
		rest = nil
	}
	l.todo = rest
	return jobs
}

func (l *link) command(c *conn, j *job) rueidis.Completed {
	channels := make([]string, len(j.interests))
	for i, in := range j.interests {
		channels[i] = in.channel
	}
	b := c.client.B()
	switch {
	case l.t.sharded && j.subscribe:
		return b.Ssubscribe().Channel(channels...).Build()
	case l.t.sharded:
		return b.Sunsubscribe().Channel(channels...).Build()
	case j.subscribe:
		return b.Subscribe().Channel(channels...).Build()
	default:
		return b.Unsubscribe().Channel(channels...).Build()
	}
}

// settle takes the outcome of a job. Of a SUBSCRIBE that went well there is
// nothing to do: its confirmations have done it, or are about to.
func (l *link) settle(j *job, err error) error {
	refusal, refused := rueidis.IsRedisErr(err)
	if err != nil && !refused {
		if errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("no answer within %s", l.t.opts.Timeout)
		}
		return lostError(err)
	}
	t := l.t
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, in := range j.interests {
		switch {
		case in.link != l:
		case !j.subscribe:
			// Where the slot is elsewhere, Redis has ended the subscription. Any other refusal leaves it, and what
			// it hears has no listener; asking again would be refused again.
			if refused && !elsewhere(refusal) {
				t.report(fmt.Errorf("redistarget: unsubscribe from %q: %w", in.topic, err))
			}
			in.leaving, in.live = false, false
			t.settleLocked(in)
		case refused:
			l.refusedLocked(in, refusal, len(j.interests) == 1)
		}
	}
	return nil
}

// refusedLocked takes a SUBSCRIBE that Redis did not do.
func (l *link) refusedLocked(in *interest, err *rueidis.RedisError, alone bool) {
	t := l.t
	in.asking = false
	in.waiting, in.asked = append(in.asked, in.waiting...), nil
	switch {
	case t.router != nil && elsewhere(err):
		in.lostLocked()
	case !alone:
		in.alone = true
		t.settleLocked(in)
	default:
		in.refused = true
		in.failLocked(fmt.Errorf("redistarget: subscribe to %q: %w", in.topic, err))
		t.report(fmt.Errorf("redistarget: subscribe to %q: %w", in.topic, err))
	}
}

// elsewhere reports whether the node says that it does not serve the slot now.
func elsewhere(err *rueidis.RedisError) bool {
	_, moved := err.IsMoved()
	_, ask := err.IsAsk()
	return moved || ask || err.IsClusterDown() || err.IsTryAgain() || err.IsLoading()
}

// retryRefused asks once more for what Redis has refused.
func (l *link) retryRefused() {
	t := l.t
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, in := range t.topics {
		if in.link == l && in.refused {
			in.refused = false
			t.settleLocked(in)
		}
	}
}
