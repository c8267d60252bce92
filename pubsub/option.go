package pubsub

const (
	defaultBuffer      = 1024
	defaultBufferBytes = 1 << 20
)

// SubscribeOption changes how [Topic.Subscribe] buffers events for its reader.
type SubscribeOption func(*subscribeConfig)

type subscribeConfig struct {
	events int
	bytes  int
	policy Policy
	onGap  func(dropped int)
}

func newSubscribeConfig(opts []SubscribeOption) subscribeConfig {
	config := subscribeConfig{events: defaultBuffer, bytes: defaultBufferBytes}
	for _, opt := range opts {
		opt(&config)
	}
	return config
}

// Buffer sets how many events wait for the reader at most. Zero and less mean
// the default, 1024.
func Buffer(events int) SubscribeOption {
	return func(c *subscribeConfig) {
		c.events = events
		if events <= 0 {
			c.events = defaultBuffer
		}
	}
}

// BufferBytes sets how many bytes of payload wait for the reader at most. One
// event that is larger is taken when no other is waiting. Zero and less mean
// the default, 1 MiB.
func BufferBytes(n int) SubscribeOption {
	return func(c *subscribeConfig) {
		c.bytes = n
		if n <= 0 {
			c.bytes = defaultBufferBytes
		}
	}
}

// OnFull sets what happens to an event that finds the buffer full. The default
// is [DropOldest].
func OnFull(policy Policy) SubscribeOption {
	return func(c *subscribeConfig) { c.policy = policy }
}

// OnGap has fn called where events are missing, whether the target lost them or
// this subscription's own buffer. dropped is how many; zero means that nobody
// knows. The call is made in the reader's goroutine, after the event before the
// gap was handed out and before the one behind it. fn may call Stop.
func OnGap(fn func(dropped int)) SubscribeOption {
	return func(c *subscribeConfig) { c.onGap = fn }
}

// Policy says what a subscription does with an event that finds its buffer full.
type Policy int

const (
	// DropOldest drops what has waited longest, as much as the new event needs.
	// It is the zero value: the reader stays close to the present.
	DropOldest Policy = iota

	// DropNewest drops the new event: the reader gets the past without a break.
	DropNewest

	// EndSubscription drops the new event and ends the subscription with
	// [ErrSlowConsumer]. The reader still gets what was buffered.
	EndSubscription
)

// String returns the policy's name.
func (p Policy) String() string {
	switch p {
	case DropOldest:
		return "DropOldest"
	case DropNewest:
		return "DropNewest"
	case EndSubscription:
		return "EndSubscription"
	}
	return "unknown policy"
}
