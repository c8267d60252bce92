// Package pending correlates the answers that a connection brings with the
// requests that wait for them: unary calls and streams, in one PendingRequestMap.
//
// # Guarantees
//
//   - A request ends exactly once: with its value, its completion, an error from
//     the other side, its timeout, its caller's leaving, or [Map.Close].
//   - An answer for a request that is not in flight is ignored and counted, never
//     delivered to a later one.
//   - A caller that leaves is released immediately. Its request stays in the count until
//     the other side ends it, since the handler is still at work there.
//   - [Map.Close] fails every waiter in one step and refuses new requests from then on.
//   - No method but [Request.Next] waits, so a connection's reader may call all others.
//
// # Bounds
//
// A stream holds at most as many values as its reader has granted credit for; a further
// value ends it with [ErrOverrun]. A stream without credit holds at most
// [MaxBuffered] values and [MaxBufferedBytes].
//
// A request's values are owned by the caller of Next; the map does not
// look into them. Times come from package time, so tests run under testing/synctest.
package pending
