// Package redistest starts redis-server processes for tests: real ones, that can
// be killed, restarted, joined to a cluster, and reached through a proxy with
// faults to order.
//
// A machine without redis-server (or valkey-server) fails the test with one line
// that says what to install; nothing is skipped. Tests that need no control over
// the process take [Any], which uses the Redis at REDIS_URL where that is set.
//
// All servers listen on 127.0.0.1, on ports that were free, with a directory of
// their own that goes with the test, and end with it. What they write
// survives a kill (append only file, without waiting for the disk).
package redistest
