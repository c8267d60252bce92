// Package badvalues holds the tests that one bad value fails its own call or event and nothing else
// (decision 023). They run on one hub and on two, joined in memory or by Redis.
package badvalues
