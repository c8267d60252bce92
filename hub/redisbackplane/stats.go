package redisbackplane

import (
	"sync"
	"sync/atomic"
)

// Stats counts since New.
type Stats struct {
	GarbageMessages uint64 // messages on our channels that are not ours, skipped
	GarbageKeys     uint64 // keys of ours that hold what we did not write, skipped
	LinksReset      uint64 // links that ended otherwise than by a close
	Gaps            uint64 // of those, since a message had been lost
	Silences        uint64 // of those, since nothing was heard
	Strays          uint64 // messages for an end of a link that is not there
	Published       uint64 // messages to other hubs
	Frames          uint64 // frames in them
	Probes          uint64 // of a hub's own subscription
	Rebuilt         uint64 // subscriptions made again
	Settled         uint64 // claims said again after Redis was back
	Lost            uint64 // spokes that another hub took over
	Dropped         uint64 // control messages over the bound
}

type counters struct {
	garbageMessages, garbageKeys                atomic.Uint64
	linksReset, gaps, silences, strays          atomic.Uint64
	published, frames, probes, rebuilt, settled atomic.Uint64
	lost, dropped                               atomic.Uint64
	messageOnce, recordOnce, setOnce            sync.Once
}

// Stats gives the counts of this moment.
func (b *Backplane) Stats() Stats {
	c := &b.counters
	return Stats{
		GarbageMessages: c.garbageMessages.Load(), GarbageKeys: c.garbageKeys.Load(),
		LinksReset: c.linksReset.Load(), Gaps: c.gaps.Load(), Silences: c.silences.Load(), Strays: c.strays.Load(),
		Published: c.published.Load(), Frames: c.frames.Load(), Probes: c.probes.Load(), Rebuilt: c.rebuilt.Load(),
		Settled: c.settled.Load(), Lost: c.lost.Load(), Dropped: c.dropped.Load(),
	}
}

// garbageKey counts a key that holds what we did not write; the first is logged.
func (b *Backplane) garbageKey(once *sync.Once, key, what string) {
	b.counters.garbageKeys.Add(1)
	once.Do(func() {
		b.log.Warn().Str("key", key).Str("found", what).Msg("a key of the backplane holds garbage; it is skipped, and more of it only counted")
	})
}

func (b *Backplane) garbageMessage(channel string, err error) {
	b.counters.garbageMessages.Add(1)
	b.counters.messageOnce.Do(func() {
		b.log.Warn().Str("channel", channel).Err(err).Msg("garbage on a channel of the backplane; it is skipped, and more of it only counted")
	})
}
