// Package redisraw is the floor of W5: two nodes with plain rueidis between them, and a callee on a plain WebSocket at
// the second. Node A publishes a call to the channel of node B, which writes it to the callee; node B publishes what the
// callee answers to the channel of node A. It is one PUBLISH a message; rueidis puts together what is published at
// the same time, as it does by default. There is no directory, no liveness, no order and no bound.
package redisraw

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/redis/rueidis"

	"github.com/alkdev/hubspoke/bench/contender"
	"github.com/alkdev/hubspoke/bench/slots"
	"github.com/alkdev/hubspoke/bench/wsraw"
)

// Name is how it stands in the tables.
const Name = "redis-raw + ws callee"

const (
	inFlight = 256
	// subscribeTime bounds how long Redis may take to confirm a subscription.
	subscribeTime = 10 * time.Second
)

// Contender is the floor of W5.
func Contender() contender.Contender { return contender.Contender{Name: Name, Across: Across} }

// node is a process's end: a client that it shares for all it does, and the channel that it hears.
type node struct {
	client    rueidis.Client
	inbox     string
	cancel    context.CancelFunc
	receiving sync.WaitGroup
}

// join makes a node that has take called with each message to it, one at a time.
func join(url, inbox string, take func(message string)) (*node, error) {
	options, err := rueidis.ParseURL(url)
	if err != nil {
		return nil, errors.New("redisraw: the Redis URL is none")
	}
	client, err := rueidis.NewClient(options)
	if err != nil {
		return nil, fmt.Errorf("redisraw: %w", err)
	}
	confirmed := make(chan struct{}, 1)
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	n := &node{client: client, inbox: inbox, cancel: cancel}
	hooked := rueidis.WithOnSubscriptionHook(ctx, func(rueidis.PubSubSubscription) {
		select {
		case confirmed <- struct{}{}:
		default: // it was subscribed again
		}
	})
	n.receiving.Go(func() {
		ended <- client.Receive(hooked, client.B().Subscribe().Channel(inbox).Build(), func(m rueidis.PubSubMessage) { take(m.Message) })
	})
	limit := time.NewTimer(subscribeTime)
	defer limit.Stop()
	select {
	case <-confirmed:
		return n, nil
	case err = <-ended:
	case <-limit.C:
		err = errors.New("the subscription was not confirmed")
	}
	n.close()
	return nil, fmt.Errorf("redisraw: %w", err)
}

// publish sends one message to a channel. It waits for Redis, so whoever must go on publishes beside.
func (n *node) publish(channel string, frame []byte) error {
	command := n.client.B().Publish().Channel(channel).Message(rueidis.BinaryString(frame)).Build()
	return n.client.Do(context.Background(), command).Error()
}

func (n *node) close() {
	n.cancel()
	n.receiving.Wait()
	n.client.Close()
}

// caller is all of it: both nodes, and the callee.
type caller struct {
	slots  *slots.Slots
	near   *node
	far    *node
	server *wsraw.Server
	conns  []*websocket.Conn
	wg     sync.WaitGroup
}

// Across is W5.
func Across(s contender.Setup) (_ contender.Caller, err error) {
	c := &caller{slots: slots.New(inFlight)}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	if c.server, err = wsraw.Listen(s); err != nil {
		return nil, err
	}
	toCallee, callee, err := c.server.Connect()
	if err != nil {
		return nil, err
	}
	c.conns = []*websocket.Conn{toCallee, callee}
	c.wg.Go(func() { wsraw.Copy(callee, callee) })

	inbox := "bench:" + rand.Text() + ":"
	c.near, err = join(s.Redis, inbox+"near", func(message string) {
		if err := c.slots.Deliver([]byte(message)); err != nil {
			c.slots.Fail()
		}
	})
	if err != nil {
		return nil, err
	}
	c.far, err = join(s.Redis, inbox+"far", func(message string) {
		if err := wsraw.Write(toCallee, []byte(message)); err != nil {
			c.slots.Fail()
		}
	})
	if err != nil {
		return nil, err
	}
	c.wg.Go(func() { c.answer(toCallee) })
	return c, nil
}

// answer publishes what the callee answers, each answer in a goroutine of its own: one after the other they would wait
// for Redis one by one.
func (c *caller) answer(toCallee *websocket.Conn) {
	defer c.slots.Fail()
	for {
		frame, err := wsraw.Read(toCallee, nil)
		if err != nil {
			return
		}
		c.wg.Go(func() {
			if err := c.far.publish(c.near.inbox, frame); err != nil {
				c.slots.Fail()
			}
		})
	}
}

// Call leaves ctx alone: a floor has no cancellation.
func (c *caller) Call(_ context.Context, payload []byte) ([]byte, error) {
	slot, frame, err := c.slots.Take(payload)
	if err != nil {
		return nil, err
	}
	if err := c.near.publish(c.far.inbox, frame); err != nil {
		return nil, err
	}
	return c.slots.Wait(slot)
}

func (c *caller) Close() error {
	for _, conn := range c.conns {
		_ = conn.CloseNow() // it may have ended already
	}
	c.wg.Wait()
	for _, n := range []*node{c.near, c.far} {
		if n != nil {
			n.close()
		}
	}
	if c.server == nil {
		return nil
	}
	return c.server.Close()
}
