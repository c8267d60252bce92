package jsonscan_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/alkdev/hubspoke/internal/jsonscan"
)

const envelope = `{"requestId":"0193a7c2","operationId":"text.wordcount","input":{"text":"hello world","n":42},"credit":16,"timeout":30000,"x":1}`

func documents() map[string][]byte {
	var small []string
	for i := 0; len(small) < 220; i++ {
		small = append(small, fmt.Sprintf(`"member%d":%d`, i, i*i))
	}
	return map[string][]byte{
		"128B":     []byte(envelope),
		"4KiBlong": []byte(`{"requestId":"0193a7c2","input":"` + strings.Repeat("word ", 810) + `"}`),
		"4KiBmany": []byte(`{"requestId":"0193a7c2","input":{` + strings.Join(small, ",") + `}}`),
	}
}

func BenchmarkScan(b *testing.B) {
	for name, data := range documents() {
		b.Run("Check/"+name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if err := jsonscan.Check(data, jsonscan.MaxDepth); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("Members/"+name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				c := jsonscan.Read(data)
				n := 0
				c.Object()
				for c.Member() {
					n += len(c.Name())
				}
				if c.End() != nil || n == 0 {
					b.Fatal(c.End())
				}
			}
		})
		b.Run("json.Valid/"+name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if !json.Valid(data) {
					b.Fatal("not valid")
				}
			}
		})
	}
}
