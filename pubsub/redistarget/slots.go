package redistarget

import (
	"net"
	"slices"
	"strconv"

	"github.com/redis/rueidis"
)

// table says which node has which slot. It never changes.
type table struct {
	ranges []slotRange // in order, without overlap
	addrs  map[string]bool
}

type slotRange struct {
	first, last uint16
	node        *node
}

// find gives the node of a slot, nil where there is none.
func (t *table) find(slot uint16) *node {
	low, high := 0, len(t.ranges)
	for low < high {
		middle := int(uint(low+high) >> 1)
		if t.ranges[middle].last < slot {
			low = middle + 1
		} else {
			high = middle
		}
	}
	if low == len(t.ranges) || t.ranges[low].first > slot {
		return nil
	}
	return t.ranges[low].node
}

func (t *table) has(addr string) bool { return t.addrs[addr] }

// readLocked reads the reply of CLUSTER SLOTS: rows of first slot, last slot,
// master, replicas. Addresses are written as rueidis writes them in Client.Nodes; asked is
// the node that replied, which may leave its own host out. Rows that make no sense are left out.
func (r *router) readLocked(rows []rueidis.RedisMessage, asked string) *table {
	t := &table{addrs: make(map[string]bool)}
	for _, row := range rows {
		fields, err := row.ToArray()
		if err != nil || len(fields) < 3 {
			continue
		}
		first, err1 := fields[0].AsInt64()
		last, err2 := fields[1].AsInt64()
		addr := masterAddr(fields[2], asked)
		if err1 != nil || err2 != nil || addr == "" || first < 0 || last >= 1<<14 || first > last {
			continue
		}
		n := r.nodes[addr]
		if n == nil {
			n = &node{addr: addr}
			r.nodes[addr] = n
		}
		t.addrs[addr] = true
		t.ranges = append(t.ranges, slotRange{uint16(first), uint16(last), n})
	}
	slices.SortFunc(t.ranges, func(a, b slotRange) int { return int(a.first) - int(b.first) })
	return t
}

// masterAddr gives host and port, or nothing where the node has no known host.
func masterAddr(m rueidis.RedisMessage, asked string) string {
	fields, err := m.ToArray()
	if err != nil || len(fields) < 2 {
		return ""
	}
	host, err := fields[0].ToString()
	if err != nil && !rueidis.IsRedisNil(err) || host == "?" {
		return ""
	}
	if host == "" {
		host, _, _ = net.SplitHostPort(asked)
	}
	port, err := fields[1].AsInt64()
	if err != nil {
		return ""
	}
	return net.JoinHostPort(host, strconv.FormatInt(port, 10))
}
