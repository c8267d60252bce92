package jsonscan_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/alkdev/hubspoke/internal/jsonscan"
)

// TestUTF8Everywhere has each first byte with each second byte at each place of a word.
func TestUTF8Everywhere(t *testing.T) {
	check := func(s string) {
		t.Helper()
		for pad := range 8 {
			for _, tail := range []string{"", "語語語", strings.Repeat("x", 40) + "é"} {
				in := []byte("ééé" + strings.Repeat("x", pad) + s + tail)
				if got, want := jsonscan.UTF8(in), utf8.Valid(in); got != want {
					t.Fatalf("%q: %v, want %v", in, got, want)
				}
			}
		}
	}
	for a := 0xbe; a < 0x100; a++ {
		for b := range 0x100 {
			check(string([]byte{byte(a), byte(b), 0x80}))
			check(string([]byte{byte(a), byte(b), 0xbf, 0xbf}))
		}
	}
}

// FuzzValidUTF8 holds the validation in words against the standard library.
func FuzzValidUTF8(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
		f.Add([]byte(`"` + strings.Repeat("x", 70) + s + strings.Repeat("слово 単語 😀", 9) + `"`))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for pad := range 8 {
			in := []byte(strings.Repeat(" ", pad) + string(data))
			valid := utf8.Valid(in)
			if got := jsonscan.UTF8(in); got != valid {
				t.Fatalf("%q: %v, want %v", in, got, valid)
			}
			if got, want := jsonscan.ValidUTF8(in), valid && json.Valid(in); got != want {
				t.Fatalf("%q: %v, want %v", in, got, want)
			}
			// Inside a string of every length the places in the words differ again.
			quoted := []byte(`"` + strings.Repeat("é", pad*9) + string(data) + `"`)
			if got, want := jsonscan.ValidUTF8(quoted), utf8.Valid(quoted) && json.Valid(quoted); got != want {
				t.Fatalf("%q: %v, want %v", quoted, got, want)
			}
		}
	})
}

func BenchmarkUTF8(b *testing.B) {
	for _, p := range payloads() {
		b.Run(p.name, func(b *testing.B) {
			for b.Loop() {
				if !jsonscan.UTF8(p.data) {
					b.Fatal("not UTF-8")
				}
			}
		})
		b.Run("std/"+p.name, func(b *testing.B) {
			for b.Loop() {
				if !utf8.Valid(p.data) {
					b.Fatal("not UTF-8")
				}
			}
		})
	}
}
