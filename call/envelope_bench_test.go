package call_test

import (
	"strings"
	"testing"

	"github.com/alkdev/hubspoke/call"
)

func BenchmarkParseEnvelope(b *testing.B) {
	for name, size := range map[string]int{"128B": 128, "4KiB": 4096} {
		for kind, data := range map[string]string{
			"string": `{"text":"` + strings.Repeat("x", size-11) + `"}`,
			"many":   `{"a":1` + strings.Repeat(`,"name":"v","n":1234`, size/20) + `}`,
			"mixed":  `{"text":"` + strings.Repeat("слово, mot français, 単語. ", size/40) + `"}`,
		} {
			output := []byte(`{"data":` + data + `,"meta":{"source":"local","operationId":"text.wordcount","timestamp":1700000000000}}`)
			b.Run(kind+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if e := call.ParseEnvelope(output); e.Meta == nil {
						b.Fatal("no envelope")
					}
				}
			})
		}
	}
}
