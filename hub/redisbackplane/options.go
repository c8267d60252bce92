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
	DefaultKeyPrefix = "alk:hubspoke:"
	DefaultLease     = 10 * time.Second
	DefaultTimeout   = time.Second
	DefaultLinkBytes = 64 << 20
)

// Options change how a [Backplane] works. The zero value is the default throughout.
type Options struct {
	// EventPrefix is put before a topic to make its channel; empty is
	// [redistarget.DefaultPrefix], "alk:events:".
	EventPrefix string
	// EventMode is the kind of pub/sub that carries events; zero is sharded on a
	// Cluster and plain otherwise. Links use sharded pub/sub on every Cluster.
	EventMode redistarget.Mode
	// KeyPrefix begins the keys of the directory and the channels of the links;
	// empty is [DefaultKeyPrefix]. All hubs need the same one, and it must not begin with
	// the prefix of the events.
	KeyPrefix string
	// Lease is how long a hub that has died still counts; 0 is 10 s. It is renewed
	// at a third. At least 300 ms.
	Lease time.Duration
	// Timeout bounds each call to Redis; 0 is 1 s.
	Timeout time.Duration
	// LinkBytes bounds what one end of a link has received and nobody has read;
	// 0 is 64 MiB.
	LinkBytes int
	// Logger gets what an operator should see; nil logs nothing.
	Logger *zerolog.Logger
}

// ErrOptions is what [New] and [Connect] wrap when a setting is wrong.
var ErrOptions = errors.New("redisbackplane: options")

// withDefaults gives a copy in which everything is set.
func (o *Options) withDefaults() (Options, error) {
	var c Options
	if o != nil {
		c = *o
	}
	if c.EventPrefix == "" {
		c.EventPrefix = redistarget.DefaultPrefix
	}
	if c.KeyPrefix == "" {
		c.KeyPrefix = DefaultKeyPrefix
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
	case strings.HasPrefix(c.KeyPrefix, c.EventPrefix):
		return c, fmt.Errorf("%w: KeyPrefix %q begins with EventPrefix %q", ErrOptions, c.KeyPrefix, c.EventPrefix)
	case strings.ContainsAny(c.KeyPrefix, "{}"):
		return c, fmt.Errorf("%w: KeyPrefix %q has a brace, which is for hash tags", ErrOptions, c.KeyPrefix)
	}
	return c, nil
}
