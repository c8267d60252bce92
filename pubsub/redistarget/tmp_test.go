package redistarget_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/alkdev/hubspoke/internal/redistest"
	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/pubsub/pubsubtest"
)

func TestTmp(t *testing.T) {
	cluster := redistest.StartCluster(t, 3)
	target, other := clusterTarget(t, cluster, quick()), clusterTarget(t, cluster, quick())
	const n = 3000
	recs := make([]*pubsubtest.Recorder, n)
	var wg sync.WaitGroup
	begin := time.Now()
	for g := range 30 {
		wg.Go(func() {
			for i := g; i < n; i += 30 {
				recs[i] = new(pubsubtest.Recorder)
				if _, err := target.Listen(t.Context(), fmt.Sprint("t", i), recs[i].Record); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	t.Log("listen", time.Since(begin), target.Stats())
	for i := range n {
		dispatch(t, other, fmt.Sprint("t", i), "1")
	}
	for i := range n {
		want(t, recs[i], "1")
	}
	cluster.Nodes()[2].Kill()
	waitHealth(t, target, false)
	cluster.Nodes()[2].Restart()
	begin = time.Now()
	waitHealth(t, target, true)
	t.Log("back", time.Since(begin))
	redistest.Poll(t, "other", func() bool {
		for i := range n {
			if other.Dispatch(t.Context(), pubsub.Event{Topic: fmt.Sprint("t", i), Payload: []byte("2")}) != nil {
				return false
			}
		}
		return true
	})
	for i := range n {
		redistest.Poll(t, "2", func() bool { e := recs[i].Events(); return string(e[len(e)-1].Payload) == "2" })
	}
	// slots move while publishing
	for i := range 40 {
		topic := fmt.Sprint("t", i)
		slot := cluster.Slot("alk:events:" + topic)
		from := cluster.Owner(slot)
		cluster.MoveSlot(slot, (from+1)%3)
		redistest.Poll(t, "moved", func() bool {
			_ = other.Dispatch(t.Context(), pubsub.Event{Topic: topic, Payload: []byte("3")})
			e := recs[i].Events()
			return string(e[len(e)-1].Payload) == "3"
		})
	}
	t.Log(texts(recs[0].Events()), target.Stats(), time.Since(begin))
}

func TestTmpPool(t *testing.T) {
	server := redistest.Start(t)
	client := newClientWith(t, rueidis.ClientOption{InitAddress: []string{server.Addr()}, BlockingPoolSize: 1})
	target := newTarget(t, client, quick())
	_, release := client.Dedicate, func() {}
	_ = release
	go func() { c, done := client.Dedicate(); _ = c; <-t.Context().Done(); done() }()
	server.Do("CLIENT", "KILL", "TYPE", "pubsub")
	for range 8 {
		redistest.Poll(t, "x", func() bool { return true })
		<-time.After(time.Second)
		t.Log(target.Health(), target.Stats())
	}
	begin := time.Now()
	target.Close()
	t.Log(time.Since(begin))
}
