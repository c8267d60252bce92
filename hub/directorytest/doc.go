// Package directorytest is the contract of hub.Directory as a test suite, run by
// every implementation.
//
// A shared directory may answer lookups from a cache that is a moment behind, so the suite waits
// for what must become true, at most [Patience], and then checks that it stays so.
package directorytest
