package centrifuge

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/centrifugal/centrifuge"
	sdk "github.com/centrifugal/centrifuge-go"

	"github.com/alkdev/hubspoke/bench/contender"
)

// survey is W5 by another way: node near surveys node far, which sends the request to its client.
type survey struct {
	near, far *node
	callee    *spoke
	calls     calls
	client    atomic.Pointer[centrifuge.Client] // the callee, as the far node has it
}

func newSurvey(s contender.Setup) (_ contender.Caller, err error) {
	v := &survey{}
	defer func() {
		if err != nil {
			_ = v.Close()
		}
	}()
	unused := func(n *centrifuge.Node) {
		n.OnSurvey(func(_ centrifuge.SurveyEvent, reply centrifuge.SurveyCallback) {
			reply(centrifuge.SurveyReply{Code: 1})
		})
	}
	if v.near, err = startNode(s, hooks{redis: true, setup: unused}); err != nil {
		return nil, err
	}
	v.far, err = startNode(s, hooks{
		redis:   true,
		setup:   func(n *centrifuge.Node) { n.OnSurvey(v.pass) },
		connect: v.connected,
	})
	if err != nil {
		return nil, err
	}
	if v.callee, err = prepare(s, v.far.Addr()); err != nil {
		return nil, err
	}
	v.callee.OnMessage(func(e sdk.MessageEvent) {
		// Where it fails the caller has no answer, and says so.
		_ = v.callee.Send(context.Background(), e.Data)
	})
	ctx := context.Background()
	err = v.callee.connect(ctx)
	if err == nil {
		// The node takes requests only after it has called connected.
		err = v.callee.flush(ctx)
	}
	return v, err
}

// connected is called by the far node with the callee.
func (v *survey) connected(client *centrifuge.Client) {
	client.OnMessage(func(e centrifuge.MessageEvent) { v.calls.answered(e.Data) })
	v.client.Store(client)
}

// pass has the callee answer. The reply to the survey waits for Redis, so it does that aside.
func (v *survey) pass(e centrifuge.SurveyEvent, reply centrifuge.SurveyCallback) {
	id := v.calls.add(func(payload []byte) {
		go reply(centrifuge.SurveyReply{Data: payload})
	})
	client := v.client.Load()
	if client == nil || client.Send(wrap(id, e.Data)) != nil {
		v.calls.take(id)
		reply(centrifuge.SurveyReply{Code: 1})
	}
}

func (v *survey) Call(ctx context.Context, payload []byte) ([]byte, error) {
	results, err := v.near.Survey(ctx, "echo", payload, v.far.ID())
	if err != nil {
		return nil, fmt.Errorf("centrifuge: survey: %w", err)
	}
	if r := results[v.far.ID()]; r.Code == 0 {
		return r.Data, nil
	}
	return nil, errors.New("centrifuge: the survey was not answered by the callee")
}

func (v *survey) Close() error {
	var errs []error
	if v.callee != nil {
		errs = append(errs, v.callee.Close())
	}
	for _, n := range []*node{v.far, v.near} {
		if n != nil {
			errs = append(errs, n.Close())
		}
	}
	return errors.Join(errs...)
}
