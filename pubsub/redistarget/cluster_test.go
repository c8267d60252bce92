package redistarget_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/alkdev/hubspoke/internal/redistest"
	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/pubsub/pubsubtest"
	"github.com/alkdev/hubspoke/pubsub/redistarget"
)

// One cluster serves these tests, since it takes seconds to come up; those that
// break it mend it.
func TestCluster(t *testing.T) {
	cluster := redistest.StartCluster(t, 3)
	t.Run("ContractSharded", func(t *testing.T) { testClusterContract(t, cluster, nil) })
	t.Run("ContractPlain", func(t *testing.T) {
		testClusterContract(t, cluster, &redistarget.Options{Mode: redistarget.Plain})
	})
	t.Run("Interop", func(t *testing.T) { testClusterInterop(t, cluster) })
	t.Run("NodeDies", func(t *testing.T) { testNodeDies(t, cluster) })
	t.Run("PlainNodeDies", func(t *testing.T) { testPlainNodeDies(t, cluster) })
	t.Run("SlotMoves", func(t *testing.T) { testSlotMoves(t, cluster) })
}

func clusterTarget(t *testing.T, cluster *redistest.Cluster, o *redistarget.Options) *redistarget.Target {
	t.Helper()
	return newTarget(t, newClient(t, cluster.Addrs()...), o)
}

func testClusterContract(t *testing.T, cluster *redistest.Cluster, o *redistarget.Options) {
	t.Run("OneTarget", func(t *testing.T) {
		pubsubtest.TestTarget(t, func(t *testing.T) (publisher, subscriber pubsub.EventTarget) {
			target := clusterTarget(t, cluster, o)
			return target, target
		})
	})
	if o != nil {
		return // the way from node to node takes a moment, for which the suite has no patience
	}
	t.Run("TwoTargets", func(t *testing.T) {
		pubsubtest.TestTarget(t, func(t *testing.T) (publisher, subscriber pubsub.EventTarget) {
			return clusterTarget(t, cluster, o), clusterTarget(t, cluster, o)
		})
	})
}

// topicOn finds a topic in a slot of the node.
func topicOn(cluster *redistest.Cluster, node int) (topic string, slot int) {
	for i := 0; ; i++ {
		topic := fmt.Sprintf("node%d.%d", node, i)
		if slot := cluster.Slot("alk:events:" + topic); cluster.Owner(slot) == node {
			return topic, slot
		}
	}
}

func testClusterInterop(t *testing.T, cluster *redistest.Cluster) {
	topic, _ := topicOn(cluster, 1)
	sharded := clusterTarget(t, cluster, nil)
	plain := clusterTarget(t, cluster, &redistarget.Options{Mode: redistarget.Plain})
	atSharded, atPlain := listen(t, sharded, topic), listen(t, plain, topic)
	if got := cluster.Nodes()[1].Do("SPUBLISH", "alk:events:"+topic, "1"); got != "1" {
		t.Errorf("SPUBLISH reached %s", got)
	}
	for _, node := range cluster.Nodes() {
		node.Do("PUBLISH", "alk:events:"+topic, "2")
	}
	want(t, atSharded, "1")
	want(t, atPlain, "2", "2", "2")
}

// A node takes its topics with it, and only these; when it is back they are too.
func testNodeDies(t *testing.T, cluster *redistest.Cluster) {
	o := quick()
	target, other := clusterTarget(t, cluster, o), clusterTarget(t, cluster, quick())
	gone, _ := topicOn(cluster, 0)
	kept, _ := topicOn(cluster, 1)
	atGone, atKept, atOther := listen(t, target, gone), listen(t, target, kept), listen(t, other, gone)
	node := cluster.Nodes()[0]
	node.Kill()
	health := waitHealth(t, target, false)
	if !strings.Contains(health.Reason, node.Addr()) {
		t.Errorf("Health: %+v", health)
	}
	waitHealth(t, other, false)
	err := target.Dispatch(testContext(t), pubsub.Event{Topic: gone, Payload: []byte("1")})
	var unavailable *redistarget.UnavailableError
	if !errors.As(err, &unavailable) || !unavailable.Local {
		t.Fatalf("Dispatch to a dead node: %v", err)
	}
	want(t, atGone, "1")
	dispatch(t, target, kept, "2")
	want(t, atKept, "2")
	node.Restart()
	waitHealth(t, target, true)
	waitHealth(t, other, true)
	dispatch(t, other, gone, "3")
	want(t, atGone, "1", "gap", "3")
	want(t, atOther, "gap", "3")
	if got := texts(atKept.Events()); len(got) != 1 {
		t.Errorf("a topic of another node got %v", got)
	}
	cluster.WaitOK()
}

// Plain pub/sub moves on to another node.
func testPlainNodeDies(t *testing.T, cluster *redistest.Cluster) {
	o := quick()
	o.Mode = redistarget.Plain
	target := clusterTarget(t, cluster, o)
	recorder := listen(t, target, "plain")
	home := -1
	for i, node := range cluster.Nodes() {
		if strings.Contains(node.Do("PUBSUB", "CHANNELS"), "alk:events:plain") {
			home = i
		}
	}
	cluster.Nodes()[home].Kill()
	redistest.Poll(t, "another node", func() bool { return target.Stats().Reconnects == 1 })
	waitHealth(t, target, true)
	dispatch(t, target, "plain", "1")
	want(t, recorder, "gap", "1")
	cluster.Nodes()[home].Restart()
	cluster.WaitOK()
}

// Topics follow their slot to another node; a gap tells what may be missing.
func testSlotMoves(t *testing.T, cluster *redistest.Cluster) {
	target, other := clusterTarget(t, cluster, nil), clusterTarget(t, cluster, nil)
	topic, slot := topicOn(cluster, 2)
	stays, staysSlot := topicOn(cluster, 1)
	recorder, atStays := listen(t, target, topic), listen(t, target, stays)
	dispatch(t, other, topic, "1")
	want(t, recorder, "1")
	cluster.MoveSlot(slot, 0)
	want(t, recorder, "1", "gap")
	dispatch(t, other, topic, "2")
	dispatch(t, target, topic, "3")
	dispatch(t, other, stays, "4")
	want(t, recorder, "1", "gap", "2", "3")
	want(t, atStays, "4")
	late := listen(t, other, topic)
	dispatch(t, target, topic, "5")
	want(t, late, "5")
	if slot == staysSlot {
		t.Fatal("the test's topics share a slot")
	}
}
