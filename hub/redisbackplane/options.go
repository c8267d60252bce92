package redisbackplane

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/alkdev/hubspoke/pubsub/redistarget"
)

// The defaults of [Options].
const (
	DefaultPrefix    = "alk:"
	DefaultLease     = 10 * time.Second
	DefaultTimeout   = time.Second
	DefaultLinkBytes = 64 << 20
)

// Options change how a [Backplane] works. The zero value is the default throughout.
type Options struct {
	// Prefix begins all keys and channels: those of the directory and the links are Prefix + "hubspoke:" + …,
	// those of the events Prefix + "events:" + topic, and those on which subscriptions are probed
	// Prefix + "probe:" + …. Empty is [DefaultPrefix], "alk:". All hubs of an installation need the same one;
	// two installations on one Redis need different ones, also where they use different databases, because
	// pub/sub ignores the number of the database. A database other than 0 is refused with the default.
	Prefix string
	// EventPrefix is put before a topic to make its channel, where other programs expect another one than
	// Prefix + "events:". Empty is Prefix + "events:".
	EventPrefix string
	// EventMode is the kind of pub/sub that carries events; zero is sharded on a
	// Cluster and plain otherwise. Links use sharded pub/sub on every Cluster.
	EventMode redistarget.Mode
	// Lease is how long a hub that has died still counts; 0 is 10 s, at least 300 ms. A hub renews it after a third of
	// that time. A new process with a configured hub.Options.ID waits for the lease of its predecessor.
	Lease time.Duration
	// Timeout bounds each call to Redis for the directory and the links; 0 is 1 s. Calls for events have
	// redistarget.DefaultTimeout. If rueidis has to dial first, its Dialer.Timeout may make it longer.
	Timeout time.Duration
	// LinkBytes bounds the frames that one end of a link has received and that were not read; 0 is 64 MiB. Over it
	// the link is reset: its calls end with DISCONNECTED.
	LinkBytes int
	// Logger receives the messages for the operator; nil logs nothing.
	Logger *zerolog.Logger
}

// ErrOptions is what [New] and [Connect] wrap when a setting is wrong.
var ErrOptions = errors.New("redisbackplane: options")

// withDefaults returns a copy in which everything is set.
func (o *Options) withDefaults() (Options, error) {
	var c Options
	if o != nil {
		c = *o
	}
	if c.Prefix == "" {
		c.Prefix = DefaultPrefix
	}
	if c.EventPrefix == "" {
		c.EventPrefix = c.Prefix + "events:"
	}
	if c.Lease == 0 {
		c.Lease = DefaultLease
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.LinkBytes == 0 {
		c.LinkBytes = DefaultLinkBytes
	}
	if c.Logger == nil {
		nop := zerolog.Nop()
		c.Logger = &nop
	}
	switch {
	case c.Lease < 300*time.Millisecond:
		return c, fmt.Errorf("%w: Lease is %v, at least 300 ms", ErrOptions, c.Lease)
	case c.Timeout < 0 || c.LinkBytes < 0:
		return c, fmt.Errorf("%w: Timeout and LinkBytes must not be negative", ErrOptions)
	case c.EventMode < redistarget.Auto || c.EventMode > redistarget.Sharded:
		return c, fmt.Errorf("%w: EventMode %d is none of redistarget's Auto, Plain and Sharded", ErrOptions, c.EventMode)
	case strings.ContainsAny(c.Prefix, "{}"):
		return c, fmt.Errorf("%w: Prefix %q has a brace, which is for hash tags: choose one without", ErrOptions, c.Prefix)
	case strings.HasPrefix(c.directoryPrefix(), c.EventPrefix) || strings.HasPrefix(c.EventPrefix, c.directoryPrefix()):
		return c, fmt.Errorf("%w: EventPrefix %q overlaps with the keys and channels under %q: choose another one",
			ErrOptions, c.EventPrefix, c.directoryPrefix())
	case strings.HasPrefix(c.probePrefix(), c.EventPrefix) || strings.HasPrefix(c.EventPrefix, c.probePrefix()):
		return c, fmt.Errorf("%w: EventPrefix %q overlaps with the probes' channels under %q: choose another one",
			ErrOptions, c.EventPrefix, c.probePrefix())
	}
	return c, nil
}

// directoryPrefix begins the keys of the directory and the channels of the links.
func (o *Options) directoryPrefix() string { return o.Prefix + "hubspoke:" }

func (o *Options) probePrefix() string { return o.Prefix + "probe:" }
