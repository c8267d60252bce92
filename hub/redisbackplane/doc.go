// Package redisbackplane joins hubs through Redis 7 or later, or Valkey, single, Sentinel or
// Cluster: events, the directory of spokes, the links between hubs, and health
// (protocol section 9). One rueidis client, made by the caller, serves all of it.
//
//	client, err := redisbackplane.Connect("redis://redis.example.com")
//	bp, err := redisbackplane.New(client, nil)
//	h, err := hub.New(&hub.Options{Backplane: bp.Backplane(), …})
//
// # Guarantees
//
//   - A registration never fails because Redis is down. A hub keeps its claims and the operations that it
//     serves, and writes them when Redis is back, also if Redis has lost its data. Between claims of one identity the
//     higher generation wins, and the hub that lost the spoke receives a letter. An id that another identity holds on
//     a live hub stays with that identity.
//   - A record counts only while its hub's lease exists, under the incarnation that wrote it.
//     A hub that dies is in no answer after its lease, by default 10 s.
//   - On a steady system a lookup costs no round trip: it is answered from rueidis'
//     client-side cache, which Redis invalidates. A cached entry is at most a lease old.
//   - Frames of a link arrive in order and without a gap, or the link ends with
//     [transport.ErrLost] at both ends. While anything is in flight, each end receives a tick from the
//     other every second; three seconds of silence end the link. An idle link sends nothing.
//   - While Redis is known to be down, Dial and lookups fail immediately.
//   - Garbage on our channels or in our keys is counted ([Backplane.Stats]), skipped and logged once.
//   - A key that Redis refuses to write (maxmemory, a missing right) degrades the health until it is written, and
//     concerns no other key.
//
// Redis is inside the trusted boundary: a program that can write to it can speak for any hub.
//
// # Bounds
//
// Every call to Redis has a deadline ([Options.Timeout]; those for events have redistarget.DefaultTimeout); where rueidis
// has to dial first, its Dialer.Timeout may make it longer. A message between hubs is at most 1 MiB, except for a single
// larger frame. Frames that an end of a link has received and that were not read have at most
// [Options.LinkBytes]; over that the link is reset. Write waits until Redis has accepted the frames.
// At most 1,024 control messages wait, and a hub has at most 4,096 ends of links. Keys of the directory
// live for a day; their hub writes them again every six hours.
package redisbackplane
