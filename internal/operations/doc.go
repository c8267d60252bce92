// Package operations tests docs/operations.md: every configuration and every program on that page is taken from
// it and run as an operator would, with real servers. The tests need nginx and redis-sentinel besides redis-server, so
// they have the build tag operations and run with `make operations`.
package operations
