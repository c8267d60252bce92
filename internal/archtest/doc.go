// Package archtest holds the project's own rules as tests: who may import whom, that every package
// is documented, that the README's snippets compile, that no test sleeps or skips. A rule that only
// people remember does not last. The package has no code besides its tests.
package archtest
