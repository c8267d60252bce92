package redistest

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// slots is how many hash slots a cluster has.
const slots = 16384

// Cluster is a Redis Cluster of masters without replicas. A node that is killed
// takes its slots with it until it is restarted; the others go on.
type Cluster struct {
	t     testing.TB
	nodes []*Server
	ids   []string
}

// StartCluster starts n nodes with the options, assigns each its share of the slots, and returns
// when all of them say that the cluster is well. It ends with the test.
func StartCluster(t testing.TB, n int, opts ...Option) *Cluster {
	t.Helper()
	c := &Cluster{t: t}
	for range n {
		_, bus, err := net.SplitHostPort(freeAddr(t))
		if err != nil {
			t.Fatal(err)
		}
		node := Start(t, append([]Option{Args("--cluster-enabled", "yes", "--cluster-port", bus,
			"--cluster-node-timeout", "2000", "--cluster-require-full-coverage", "no")}, opts...)...)
		c.nodes = append(c.nodes, node)
		c.ids = append(c.ids, node.Do("CLUSTER", "MYID"))
		host, port, err := net.SplitHostPort(node.Addr())
		if err != nil {
			t.Fatal(err)
		}
		c.nodes[0].Do("CLUSTER", "MEET", host, port, bus)
	}
	for i, node := range c.nodes {
		first, last := i*slots/n, (i+1)*slots/n-1
		node.Do("CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(first), strconv.Itoa(last))
	}
	c.WaitOK()
	return c
}

// Nodes are the nodes in the order of their slots.
func (c *Cluster) Nodes() []*Server { return c.nodes }

// Addrs are the addresses of all nodes.
func (c *Cluster) Addrs() []string {
	addrs := make([]string, len(c.nodes))
	for i, node := range c.nodes {
		addrs[i] = node.Addr()
	}
	return addrs
}

// Slot is the hash slot of a key.
func (c *Cluster) Slot(key string) int {
	c.t.Helper()
	slot, err := strconv.Atoi(c.alive().Do("CLUSTER", "KEYSLOT", key))
	if err != nil {
		c.t.Fatal(err)
	}
	return slot
}

// Owner is the node, by its index, that had the slot when the cluster was started.
func (c *Cluster) Owner(slot int) int {
	n := len(c.nodes)
	for i := range c.nodes {
		if slot < (i+1)*slots/n {
			return i
		}
	}
	return n - 1
}

// MoveSlot gives an empty slot to another node and returns when every node knows.
func (c *Cluster) MoveSlot(slot, to int) {
	c.t.Helper()
	text := strconv.Itoa(slot)
	from := c.Owner(slot)
	c.nodes[to].Do("CLUSTER", "SETSLOT", text, "IMPORTING", c.ids[from])
	c.nodes[from].Do("CLUSTER", "SETSLOT", text, "MIGRATING", c.ids[to])
	for _, i := range []int{to, from} {
		c.nodes[i].Do("CLUSTER", "SETSLOT", text, "NODE", c.ids[to])
	}
	for i, node := range c.nodes {
		if i != to && i != from {
			node.Do("CLUSTER", "SETSLOT", text, "NODE", c.ids[to])
		}
	}
	// Gossip that is older may arrive later and take the slot back for a while.
	Poll(c.t, "every node to know the new owner", func() bool {
		agreed := true
		for _, node := range c.nodes {
			if ownerOf(node, slot) != c.ids[to] {
				agreed = false
				_, _ = node.Try("CLUSTER", "SETSLOT", text, "NODE", c.ids[to]) // asked again
			}
		}
		return agreed
	})
}

// ownerOf returns the id of the node that has the slot according to another one.
func ownerOf(node *Server, slot int) string {
	text, _ := node.Try("CLUSTER", "NODES")
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		for _, slots := range fields[min(8, len(fields)):] {
			first, last, isRange := strings.Cut(slots, "-")
			if !isRange {
				last = first
			}
			low, err1 := strconv.Atoi(first) // a slot on its way is written as [1-<-id]
			high, err2 := strconv.Atoi(last)
			if err1 == nil && err2 == nil && low <= slot && slot <= high {
				return fields[0]
			}
		}
	}
	return ""
}

// WaitOK returns when every node says that the cluster is well and knows all others.
func (c *Cluster) WaitOK() {
	c.t.Helper()
	known := fmt.Sprintf("cluster_known_nodes:%d", len(c.nodes))
	Poll(c.t, "the cluster to be well", func() bool {
		for _, node := range c.nodes {
			info, err := node.Try("CLUSTER", "INFO")
			nodes, err2 := node.Try("CLUSTER", "NODES")
			if err != nil || err2 != nil || strings.Contains(nodes, "fail") ||
				!strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, known) ||
				!strings.Contains(info, fmt.Sprintf("cluster_slots_ok:%d", slots)) {
				return false
			}
		}
		return true
	})
}

func (c *Cluster) alive() *Server {
	for _, node := range c.nodes {
		if _, err := node.Try("PING"); err == nil {
			return node
		}
	}
	c.t.Fatal("no node of the cluster answers")
	return nil
}

// Poll asks again and again until what holds, for things that nobody tells. It
// fails the test when that takes too long.
func Poll(t testing.TB, what string, holds func() bool) {
	t.Helper()
	limit := time.NewTimer(longest)
	defer limit.Stop()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for !holds() {
		select {
		case <-again.C:
		case <-limit.C:
			t.Fatalf("waiting for %s: it took longer than %s", what, longest)
		}
	}
}
