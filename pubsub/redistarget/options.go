package redistarget

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Mode selects which of Redis' two kinds of pub/sub carries the events. Programs
// receive each other's events only in the same one.
type Mode int

const (
	// Auto is [Sharded] for the client of a Redis Cluster and [Plain] otherwise.
	// It is the zero value.
	Auto Mode = iota
	// Plain is PUBLISH and SUBSCRIBE. In a cluster every message goes to every node.
	Plain
	// Sharded is SPUBLISH and SSUBSCRIBE, which need Redis 7. In a cluster a
	// message stays on the node that has the channel's slot.
	Sharded
)

// The defaults of [Options].
const (
	DefaultPrefix        = "alk:events:"
	DefaultProbePrefix   = "alk:probe:"
	DefaultProbe         = 30 * time.Second
	DefaultTimeout       = 3 * time.Second
	DefaultMaxQueueBytes = 8 << 20
)

// Options change how a [Target] works. The zero value is the default throughout.
type Options struct {
	// Prefix is put before a topic to make the channel. Empty means [DefaultPrefix]. Two installations on one
	// Redis need different ones, also where they use different databases: pub/sub ignores the number of the
	// database. New refuses a database other than 0 with the default of this prefix or the next.
	Prefix string

	// ProbePrefix begins the channels on which the target probes its subscriptions. It must not overlap with Prefix.
	// Empty means [DefaultProbePrefix].
	ProbePrefix string

	// Mode is the kind of pub/sub; zero is [Auto].
	Mode Mode

	// Serializer makes messages of payloads. Nil means [JSON].
	Serializer Serializer

	// Probe is how long a link may receive nothing before the target checks with a probe that it still receives. Zero
	// means [DefaultProbe], 30 s.
	Probe time.Duration

	// Timeout bounds each call to Redis, a publish included, which may take up to an eighth more. Zero means
	// [DefaultTimeout], 3 s. If rueidis has to dial first, its Dialer.Timeout may make it longer.
	Timeout time.Duration

	// MaxQueueBytes bounds the events that wait to be delivered, and separately those that wait
	// in [Target.DispatchAsync] to be published; each counts with 128 bytes besides its texts. One event that is larger is
	// accepted if nothing else waits. Over it, events to be delivered become a gap, and events to be published are refused
	// with [ErrQueueFull]. Zero means [DefaultMaxQueueBytes], 8 MiB.
	MaxQueueBytes int

	// OnHealth is called when Up of [Target.Health] has changed, with what the health is then:
	// after changes that follow closely perhaps the same as before. OnError is
	// called with what goes wrong in the background: a link that is lost or cannot
	// be made, a message that does not parse, a subscription that Redis refuses.
	// Over 64 of them waiting, errors are dropped. Both are called by the goroutine that
	// calls the listeners, so they must not block; they may call the target. A panic of OnHealth or of a listener
	// is reported to OnError, which must not panic. Nil is allowed.
	OnHealth func(Health)
	OnError  func(error)
}

// withDefaults returns a copy with the zero values filled in.
func (o *Options) withDefaults() (Options, error) {
	var opts Options
	if o != nil {
		opts = *o
	}
	if opts.Prefix == "" {
		opts.Prefix = DefaultPrefix
	}
	if opts.ProbePrefix == "" {
		opts.ProbePrefix = DefaultProbePrefix
	}
	if opts.Serializer == nil {
		opts.Serializer = JSON{}
	}
	if opts.Probe == 0 {
		opts.Probe = DefaultProbe
	}
	if opts.Timeout == 0 {
		opts.Timeout = DefaultTimeout
	}
	if opts.MaxQueueBytes == 0 {
		opts.MaxQueueBytes = DefaultMaxQueueBytes
	}
	switch {
	case opts.Mode < Auto || opts.Mode > Sharded:
		return opts, fmt.Errorf("redistarget: Options.Mode %d is none of Auto, Plain, Sharded", opts.Mode)
	case opts.Probe < 0 || opts.Timeout < 0 || opts.MaxQueueBytes < 0:
		return opts, errors.New("redistarget: Options.Probe, Timeout and MaxQueueBytes must not be negative")
	case strings.HasPrefix(opts.Prefix, opts.ProbePrefix) || strings.HasPrefix(opts.ProbePrefix, opts.Prefix):
		return opts, fmt.Errorf("redistarget: Options.Prefix %q collides with Options.ProbePrefix %q: neither may begin with the other",
			opts.Prefix, opts.ProbePrefix)
	}
	return opts, nil
}
