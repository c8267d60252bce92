package jsonscan_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/alkdev/hubspoke/internal/jsonscan"
)

// payloads are what the calls of a bench carry, by shape and size.
func payloads() []struct {
	name string
	data []byte
} {
	var list []struct {
		name string
		data []byte
	}
	for _, size := range []struct {
		name string
		n    int
	}{{"128B", 128}, {"4KiB", 4096}} {
		many := ""
		for i := 0; len(many) < size.n-30; i++ {
			many += `,"name` + strconv.Itoa(i) + `":"v` + strconv.Itoa(i) + `","n":` + strconv.Itoa(i*i)
		}
		for _, p := range []struct{ name, json string }{
			{"string", `{"text":"` + strings.Repeat("x", size.n-11) + `"}`},
			{"lines", `{"text":"` + strings.Repeat(`some words of a line, and a comma.\n`, size.n/36) + `"}`},
			{"quoted", `{"text":"` + strings.Repeat(`{\"name\":\"value\",`, size.n/21) + `"}`},
			{"many", "{" + many[1:] + "}"},
			{"mixed", `{"text":"` + strings.Repeat("слово, mot français, 単語. ", size.n/40) + `"}`},
		} {
			list = append(list, struct {
				name string
				data []byte
			}{p.name + "/" + size.name, []byte(p.json)})
		}
	}
	return list
}

func BenchmarkPayload(b *testing.B) {
	for _, p := range payloads() {
		b.Run("check/"+p.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := jsonscan.Check(p.data, jsonscan.MaxDepth); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
