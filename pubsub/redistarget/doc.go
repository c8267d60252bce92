// Package redistarget carries events over Redis pub/sub: a [Target] is a
// [pubsub.EventTarget] on a rueidis client, for one Redis, a Sentinel set-up or a
// Redis Cluster.
//
// # Guarantees
//
// Delivery is at most once. The channel is the prefix and the topic, the message
// is the payload as JSON and nothing else, so any program on the same Redis can take part; the empty
// message and null both mean null. A message that does not parse is counted, and is a gap of one.
//
// While a link is up all delivery, also to listeners of the publisher's own
// target, comes from its subscription: all listeners get what Redis has accepted, in the order in which
// Redis accepted it.
//
// Subscriptions survive: when a connection is lost, killed or deaf, when Redis is
// restarted or a slot moves to another node, they are restored, with jitter and without end, and the
// listeners get a gap in the place of what may be missing. They need do nothing. The target probes a link that
// has received nothing for Options.Probe, and every link after a publish has failed. It counts a link as up only
// once a probe has arrived. A link on which a probe does not arrive is deaf, and is replaced, unless it still receives
// other messages: the probe waits behind them, for at most ten times Options.Timeout.
//
// While a link is known to be down, events of its topics reach the listeners of
// the publisher's own target only, and the publisher gets an [*UnavailableError] with Local set.
// An event that was published with an unknown outcome is never delivered locally and never
// published again: it may arrive late, also after later events.
//
// Events of one publisher on one topic stay in order, also over a reconnect. On a
// cluster in [Plain] mode a new listener may hear events from just before it came,
// when they come from another node.
//
// # Bounds
//
// Events that wait for the listeners have at most Options.MaxQueueBytes, 8 MiB by default, with 128 bytes
// counted for each event besides its texts; events over that become a gap in their place. As many bytes
// may wait in [Target.DispatchAsync]; further events are refused with [ErrQueueFull]. At most one gap is kept for each
// topic between two events of it, and at most 64 errors for Options.OnError.
//
// Each call to Redis has a deadline, Options.Timeout (3 s), or up to an eighth
// more. Where rueidis has to dial first, its own Dialer.Timeout may be longer.
//
// A target has one connection for its subscriptions; in a cluster with sharded pub/sub one for each
// node that has a topic. It has one goroutine for the listeners, one for each link, and more only
// while something is published or probed.
//
// # Needs
//
// Redis 6 for [Plain], 7 for [Sharded], or a Valkey. With access lists the user needs PUBLISH, SUBSCRIBE and
// UNSUBSCRIBE (or SPUBLISH, SSUBSCRIBE and SUNSUBSCRIBE), what rueidis sends to connect (+@connection), and the channels
// of Options.Prefix and Options.ProbePrefix; in a cluster CLUSTER SLOTS and CLUSTER SHARDS. INFO and CLIENT INFO are asked
// where they are allowed. docs/operations.md has the exact list.
//
// # Usage
//
//	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{"127.0.0.1:6379"}})
//	…
//	target, err := redistarget.New(client, nil)
//	if err != nil {
//		return err
//	}
//	defer target.Close()
//	sub, err := status.Subscribe(ctx, target, "proj_123")
//
// A connection's reader that must not wait publishes with [Target.DispatchAsync]; a caller that has a
// pubsub.EventTarget finds it as interface{ DispatchAsync(ev pubsub.Event, done func(error)) }.
package redistarget
