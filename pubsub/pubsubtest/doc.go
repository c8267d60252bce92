// Package pubsubtest helps to test what publishes and listens.
//
// [TestTarget] is the contract of pubsub.EventTarget as a suite: every
// implementation passes it. [Recorder] is a listener that keeps what it hears.
//
// Nothing here sleeps. The suite waits for events themselves, at most a minute
// or most of what is left until the test's deadline. That something does not
// arrive is shown by a later event of the same topic and publisher that does.
package pubsubtest
