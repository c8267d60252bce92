package peer

import (
	"fmt"
	"testing"
)

// FuzzMemo: what a reader remembers of earlier requests changes nothing.
func FuzzMemo(f *testing.F) {
	f.Add(`"a.b"`, `"c"`, `"a.b"`)
	f.Add(`"a\nb.c"`, `"a\\nb.c"`, `"a\nb.c"`)
	f.Add(`""`, `5`, `"x"`)
	f.Add(`123`, `"2"`, `[2]`)
	f.Add(`"\u0061.b"`, `"a.b"`, `"\ud800"`)
	f.Fuzz(func(t *testing.T, a, b, c string) {
		var memo identityMemo
		for _, pair := range [][2]string{{a, b}, {b, c}, {c, a}, {a, b}, {`"v.1"`, `"v.2"`}, {`"v.3"`, `"v.4"`}, {c, b}} {
			payload, ok := trimmed([]byte(fmt.Sprintf(`{"requestId":"1","operationId":%s,"to":%s}`, pair[0], pair[1])))
			if !ok {
				return
			}
			got, gotErr := parseRequest(payload, fuzzNow, &memo)
			want, wantErr := parseRequest(payload, fuzzNow, &identityMemo{})
			if fmt.Sprint(gotErr) != fmt.Sprint(wantErr) {
				t.Fatalf("%s: %v, want %v", payload, gotErr, wantErr)
			}
			if wantErr == nil && !sameRequest(got.req, want.req) {
				t.Fatalf("%s: %+v, want %+v", payload, *got.req, *want.req)
			}
		}
		for _, name := range memo.names {
			if len(name) > 64 {
				t.Fatalf("%d bytes are kept", len(name))
			}
		}
	})
}
