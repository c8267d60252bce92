package centrifuge

import (
	"context"
	"errors"
	"sync"

	"github.com/alkdev/hubspoke/bench/contender"
)

// answers is the channel that the caller subscribes to.
const answers = "answers"

// exchange is two clients that publish to each other's channel, in W2 by one node and in W5 by two.
type exchange struct {
	nodes          []*node
	caller, callee *spoke
	calls          calls
	answering      sync.WaitGroup
}

func newRoute(s contender.Setup) (contender.Caller, error) {
	n, err := startNode(s, hooks{})
	if err != nil {
		return nil, err
	}
	return newExchange(s, n)
}

func newAcross(s contender.Setup) (contender.Caller, error) {
	near, err := startNode(s, hooks{redis: true})
	if err != nil {
		return nil, err
	}
	far, err := startNode(s, hooks{redis: true})
	if err != nil {
		return nil, errors.Join(err, near.Close())
	}
	return newExchange(s, near, far)
}

// newExchange connects the caller to the first of the nodes and the callee to the last. The nodes are its to close.
func newExchange(s contender.Setup, nodes ...*node) (_ contender.Caller, err error) {
	e := &exchange{nodes: nodes}
	defer func() {
		if err != nil {
			_ = e.Close()
		}
	}()
	if e.callee, err = join(s, nodes[len(nodes)-1], channel(0), e.answer); err != nil {
		return nil, err
	}
	if e.caller, err = join(s, nodes[0], answers, e.calls.answered); err != nil {
		return nil, err
	}
	return e, nil
}

// join connects a client that gets what is published to a channel.
func join(s contender.Setup, n *node, channel string, handle func([]byte)) (*spoke, error) {
	c, err := prepare(s, n.Addr())
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	if err = c.subscribe(channel, handle); err == nil {
		err = c.connect(ctx)
	}
	if err == nil {
		err = c.flush(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// answer publishes the envelope back. It does not wait for that, as no further request would be read meanwhile.
func (e *exchange) answer(envelope []byte) {
	e.answering.Go(func() {
		// Where it fails the caller has no answer, and says so.
		_, _ = e.callee.Publish(context.Background(), answers, envelope)
	})
}

func (e *exchange) Call(ctx context.Context, payload []byte) ([]byte, error) {
	return e.calls.do(ctx, payload, func(envelope []byte) error {
		_, err := e.caller.Publish(ctx, channel(0), envelope)
		return err
	})
}

func (e *exchange) Close() error {
	var errs []error
	for _, c := range []*spoke{e.callee, e.caller} {
		if c != nil {
			errs = append(errs, c.Close())
		}
	}
	e.answering.Wait()
	for _, n := range e.nodes {
		errs = append(errs, n.Close())
	}
	return errors.Join(errs...)
}
