package peer

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/wire"
)

// FuzzDecodeCache: what a reader remembers of earlier requests changes nothing.
func FuzzDecodeCache(f *testing.F) {
	f.Add(`"a.b"`, `"c"`, `"a.b"`)
	f.Add(`"a\nb.c"`, `"a\\nb.c"`, `"a\nb.c"`)
	f.Add(`""`, `5`, `"x"`)
	f.Add(`123`, `"2"`, `[2]`)
	f.Add(`"\u0061.b"`, `"a.b"`, `"\ud800"`)
	f.Fuzz(func(t *testing.T, a, b, c string) {
		now := time.UnixMilli(1_764_331_200_000)
		var kept decodeCache
		for _, pair := range [][2]string{{a, b}, {b, c}, {c, a}, {a, b}, {`"v.1"`, `"v.2"`}, {`"v.3"`, `"v.4"`}, {c, b}} {
			var m wire.Message
			text := fmt.Sprintf(`{"type":"call.requested","payload":{"requestId":"1","operationId":%s,"to":%s,"identity":{"id":%s}}}`, pair[0], pair[1], pair[1])
			if wire.Parse([]byte(text), &m) != nil {
				return
			}
			var got, want call.Request
			gotErr, wantErr := kept.request(&m, &got, now), (&decodeCache{}).request(&m, &want, now)
			if fmt.Sprint(gotErr) != fmt.Sprint(wantErr) || !reflect.DeepEqual(got, want) {
				t.Fatalf("%s: %+v %v, want %+v %v", text, got, gotErr, want, wantErr)
			}
		}
		for _, name := range kept.names {
			if len(name) > 64 {
				t.Fatalf("%d bytes are kept", len(name))
			}
		}
	})
}
