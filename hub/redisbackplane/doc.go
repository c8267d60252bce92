// Package redisbackplane joins hubs through Redis 7 or later, or Valkey, single or
// Cluster: events, the directory of spokes, the links between hubs, and health
// (protocol section 9). One rueidis client that the user gives serves all of it.
//
//	client, err := redisbackplane.Connect("redis://redis.example.com")
//	bp, err := redisbackplane.New(client, nil)
//	h, err := hub.New(&hub.Options{Backplane: bp.Backplane(), …})
//
// # Guarantees
//
//   - A registration never fails because Redis is down. What a hub has claimed and
//     what it serves is remembered and said again when Redis is back, also an empty one; the
//     higher generation wins, and the hub that lost is told.
//   - A record counts only while its hub's lease lives, under the incarnation that wrote it.
//     A hub that dies is out of every answer within its lease, by default 10 s.
//   - On a steady system a lookup costs no round trip: it is answered from rueidis'
//     client-side cache, which Redis invalidates. What is cached is at most a lease old.
//   - Frames of a link arrive in order, without a hole, or the link ends with
//     [transport.ErrLost] at both ends. While anything is in flight each end hears from the
//     other every second; three seconds of silence end the link. An idle link sends nothing.
//   - While Redis is known to be down, Dial and lookups fail at once.
//   - Garbage on our channels or in our keys is counted ([Backplane.Stats]), skipped and logged once.
//
// Redis is inside the trusted boundary: who can write to it can speak for any hub.
//
// # Bounds
//
// Every call to Redis has a deadline ([Options.Timeout]); where rueidis has to dial first, its
// Dialer.Timeout may make it longer. A message between hubs is at most 1 MiB, but
// for a single larger frame. What an end of a link has received and nobody has read is at most
// [Options.LinkBytes]; over that the link is reset. Write waits until Redis has taken the frames.
// Control messages that wait are at most 1,024, ends of links 4,096 a hub. Keys of the directory
// live at most a day after their last writing; the hub that they are of writes them again in time.
package redisbackplane
