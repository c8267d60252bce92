package peer

import (
	"strings"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/transport"
)

// benchPayloads are inputs by shape and size.
func benchPayloads(f func(name string, raw []byte)) {
	for _, z := range []struct {
		name string
		n    int
	}{{"128B", 128}, {"4KiB", 4096}} {
		f("string/"+z.name, []byte(`{"text":"`+strings.Repeat("x", z.n-11)+`"}`))
		f("many/"+z.name, []byte(`{"a":1`+strings.Repeat(`,"name":"v","n":1234`, z.n/20)+`}`))
		f("mixed/"+z.name, []byte(`{"text":"`+strings.Repeat("слово, mot français, 単語. ", z.n/40)+`"}`))
	}
}

// BenchmarkReadRequest is what the reader does to a call.requested before its handler.
func BenchmarkReadRequest(b *testing.B) {
	benchPayloads(func(name string, raw []byte) {
		req := &call.Request{Operation: "text.wordcount", To: "worker-17", OriginID: "0193a7c2", Input: raw}
		data := appendRequest(nil, "0193a7c2", req, 30*time.Second, -1)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var memo identityMemo
			for b.Loop() {
				f, err := transport.ParseFrame(data)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := parseRequest(f.Payload, fuzzNow, &memo); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
}

// BenchmarkReadAnswer is what the reader does to a call.responded, and its caller to the output.
func BenchmarkReadAnswer(b *testing.B) {
	benchPayloads(func(name string, raw []byte) {
		data := appendLocal(nil, &call.Request{ID: "0193a7c2", Operation: "text.wordcount"}, call.Envelope{Data: raw}, fuzzNow)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f, err := transport.ParseFrame(data)
				if err != nil {
					b.Fatal(err)
				}
				a, err := parseAnswer(f.Type, f.Payload)
				if err != nil || call.ParseEnvelope(a.output).Meta == nil {
					b.Fatal("no answer")
				}
			}
		})
	})
}
