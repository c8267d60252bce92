package pubsubtest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// testModel lets one publisher listen, stop and dispatch in random orders, and
// compares every listener with what a list of the dispatched events says.
func testModel(t *testing.T, e ends) {
	seeds := []uint64{1, 2, 3, rand.Uint64()}
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			m := model{ends: e, random: rand.New(rand.NewPCG(seed, 0)), name: fmt.Sprintf("model.%d", seed)}
			for range 200 {
				m.step(t)
			}
			m.check(t)
		})
	}
}

// model is what should have happened.
type model struct {
	ends
	random     *rand.Rand
	name       string
	dispatched int
	listeners  []*modelListener
}

type modelListener struct {
	topic    string
	recorder *Recorder
	stop     func()
	stopped  bool
	expected []string
}

func (m *model) randomTopic() string { return m.topic(fmt.Sprintf("%s:%d", m.name, m.random.IntN(3))) }

// step does one random thing.
func (m *model) step(t *testing.T) {
	switch n := m.random.IntN(10); {
	case n < 2:
		topic := m.randomTopic()
		recorder, stop := m.listen(t, topic)
		m.listeners = append(m.listeners, &modelListener{topic: topic, recorder: recorder, stop: stop})
	case n < 4 && len(m.listeners) > 0:
		l := m.listeners[m.random.IntN(len(m.listeners))]
		l.stop() // perhaps not for the first time
		l.stopped = true
	default:
		topic, payload := m.randomTopic(), fmt.Sprint(m.dispatched)
		m.dispatched++
		m.dispatch(t, topic, payload)
		for _, l := range m.listeners {
			if l.topic == topic && !l.stopped {
				l.expected = append(l.expected, payload)
			}
		}
	}
}

// check compares. A listener that was stopped may have missed the last events
// before that, since they may still have been on their way.
func (m *model) check(t *testing.T) {
	t.Helper()
	for _, l := range m.listeners {
		if !l.stopped {
			m.fence(t, l.recorder, l.topic)
			m.want(t, l.recorder, l.topic, l.expected...)
		}
	}
	for i, l := range m.listeners {
		got := texts(withoutFences(l.recorder.Events()))
		if len(got) > len(l.expected) || !slices.Equal(got, l.expected[:len(got)]) {
			t.Errorf("listener %d of %q, stopped %t:\n got %q\nwant %q", i, l.topic, l.stopped, got, l.expected)
		}
		l.stop()
	}
}
