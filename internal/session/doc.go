// Package session holds what outlives a connection: the outbound queue of a session, to which connections attach and
// from which they detach, and the counts by which both sides know what has arrived (protocol section 8). It knows
// frames, not calls.
//
// # States
//
//	          Attach              Detach                 Resume
//	(new) ──────────► attached ──────────► detached ─────────────► attached
//	                      │                    │
//	                      └───────── End ──────┴──► ended
//
// A session is attached while it has a connection, and ended once it has a cause. A session that is not resumable forgets
// frames when they have been written; its owner ends it with its connection, and a resumable one when its window has
// expired. Connections belong to the owner, which reads from them, closes them, and detaches what was lost.
//
// # Frames
//
// [Session.Append] and [Session.TryAppend] take requests and responses, [Session.AppendControl] what must never wait, and
// [Session.AppendEvent] events. Frames are written in the order in which they were appended. Each gets its number when it
// is first written, and is kept until the other side acknowledges that number.
//
// # Bounds
//
// A request or a response is admitted if the queue is empty or the frame fits into LimitBytes, unacknowledged frames
// included; otherwise it waits for room, in order. So the queue holds at most its limit or one larger frame. Its entries,
// of which a frame that is withdrawn leaves one behind, may take as much again, or 64 KiB. Requests also wait while there
// is no connection. Control and terminal frames are always admitted; if they alone fill twice the limit, the session ends
// as a slow consumer. Events that have not been written have a budget of their own: an event beyond it is dropped and a gap
// is reported in its place, or the session ends, by configuration. The sessions of a hub that have no connection share a
// bound, [Totals.MaxDetached].
//
// # Who writes
//
// At most one goroutine writes at a time, and only while there is something to write: the flusher, which the session
// starts, or the caller that TryAppend or AppendEvent has asked to call [Session.FlushReady]. An acknowledgement is not
// in the queue: a write that begins takes it along if one is due.
//
// # Buffers
//
// A frame travels in a [Buffer] of a fitting size from a pool. The caller that appends it no longer owns it, even if appending
// fails; only TryAppend leaves it to its caller when it returns false. The queue frees a buffer when the frame is acknowledged, withdrawn or
// replaced, and never while a Write may read it: the frames of a Write are neither dropped nor replaced before it returns,
// Resume waits for a Write on the old connection, and a session that ends leaves its buffers to the garbage collector.
//
// # Locks
//
// Session.mu is acquired before the mutex of acks. [Appended] is called with Session.mu held, so a lock that it acquires
// comes after it, and must not be held while the session is called. No lock is held while a connection is written to.
package session
