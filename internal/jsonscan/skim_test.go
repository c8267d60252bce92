package jsonscan_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/alkdev/hubspoke/internal/jsonscan"
)

type member struct{ name, value string }

func list(o jsonscan.Object) (all []member, ok bool) {
	for o.Next() {
		all = append(all, member{string(o.Name()), string(o.Value())})
	}
	return all, o.Err() == nil
}

// skimSame holds OpenValid, which counts brackets in words, against Open, which
// validates, with the data at every place of a word and with room behind it or none.
func skimSame(t *testing.T, data []byte) {
	t.Helper()
	for pad := range 9 {
		for _, tail := range []string{``, `,"tail":[{"x":"` + strings.Repeat("y", 40) + `"}]`} {
			in := []byte(`{"` + strings.Repeat("n", pad) + `":` + string(data) + tail + `}`)
			before := bytes.Clone(in)
			want, ok := list(jsonscan.Open(in))
			got, skimOK := list(jsonscan.OpenValid(in)) // must end, whatever the data
			if ok && (!skimOK || !slices.Equal(got, want)) {
				t.Fatalf("%q: %q, want %q", in, got, want)
			}
			if !bytes.Equal(in, before) {
				t.Fatalf("%q was changed", before)
			}
		}
	}
}

var skims = []string{
	`[[[[[[[[[[]]]]]]]]]]`, `{"a":{"b":{"c":{"d":{"e":{}}}}}}`, `[{"a":"]"},{"b":"}"},"[",["{"]]`,
	`["\"","\\","\\\"","\\\\","\\\\\"]"]`, `[[],{},[[]],"",[""]]`, `{"":"","":[]}`, `[1,2,3,[4,5,[6,7,[8,9]]],{"k":-0.5e+7}]`,
	`["` + strings.Repeat(`]`, 40) + `",["` + strings.Repeat(`\\`, 33) + `\"]"],"` + strings.Repeat("x", 200) + `\\"]`,
	`[ {	"a" : [ "` + strings.Repeat(`\"}`, 30) + `" ] } , "語]" ]`, `["\u005d\u0022","é]","😀{"]`, "[\"\x7f]\",\"\u00dd\u00fb\"]",
}

func TestSkim(t *testing.T) {
	for _, s := range append(skims, seeds...) {
		skimSame(t, []byte(s))
		skimSame(t, []byte(`[`+s+`,"x",`+s+`]`))
	}
	deep := strings.Repeat(`[{"]":`, 4000) + `"}"` + strings.Repeat(`}]`, 4000)
	skimSame(t, []byte(deep))
}

func FuzzSkim(f *testing.F) {
	for _, s := range append(skims, seeds...) {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) { skimSame(t, data) })
}
