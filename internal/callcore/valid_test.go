package callcore_test

import (
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/alkdev/hubspoke/internal/callcore"
	"github.com/alkdev/hubspoke/internal/wire"
)

// validName says the rule of callcore.ValidName in as many words.
func validName(name string) bool {
	parts := strings.Split(name, ".")
	return len(name) <= wire.MaxNameBytes && len(parts) > 1 && !slices.Contains(parts, "") &&
		!strings.ContainsFunc(name, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || r == '\uFFFD' })
}

func FuzzValidName(f *testing.F) {
	for _, s := range []string{"", ".", "a.b", "a..b", ".a.b", "a.b.", "a. b", "a.\u00a0", "ä.語", "a.\xff", "a.\x7f", "a.\u0085", "a.\u2028", "a.\ufffd", strings.Repeat("a.", 127) + "bc", strings.Repeat("a.", 128) + "b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if got, want := callcore.ValidName(name), validName(name); got != want {
			t.Fatalf("%q: %v, want %v", name, got, want)
		}
		if n := testing.AllocsPerRun(1, func() { _ = callcore.ValidName(name) }); n != 0 {
			t.Fatalf("%q: %v allocations", name, n)
		}
	})
}

func BenchmarkValidName(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if !callcore.ValidName("text.wordcount") {
			b.Fatal("not valid")
		}
	}
}
