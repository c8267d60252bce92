package spoke

import (
	"reflect"
	"testing"
	"time"
)

// The defaults are those that the comments of Options name.
func TestDefaults(t *testing.T) {
	usual := map[string]int64{
		"MaxInFlight": 64, "MaxMessageBytes": 1 << 20, "MaxDepth": 256, "LogBytes": 4 << 20, "SessionWindow": 0,
		"HandshakeTimeout": int64(10 * time.Second), "HeartbeatTimeout": int64(10 * time.Second),
		"BackoffMin": int64(200 * time.Millisecond), "BackoffMax": int64(20 * time.Second), "BackoffReset": int64(10 * time.Second),
		"RetryAfterMax": int64(2 * time.Minute), "StreamGrace": int64(5 * time.Second),
	}
	for name, test := range map[string]struct {
		o      *Options
		differ map[string]int64
	}{
		"nil":            {nil, nil},
		"zero":           {&Options{}, nil},
		"large messages": {&Options{MaxMessageBytes: 3 << 20}, map[string]int64{"MaxMessageBytes": 3 << 20, "LogBytes": 6 << 20}},
		"low BackoffMax": {&Options{BackoffMax: time.Millisecond}, map[string]int64{"BackoffMin": int64(time.Millisecond), "BackoffMax": int64(time.Millisecond)}},
		"BackoffMax":     {&Options{BackoffMax: time.Minute}, map[string]int64{"BackoffMax": int64(time.Minute)}},
		"BackoffMin":     {&Options{BackoffMin: time.Second}, map[string]int64{"BackoffMin": int64(time.Second)}},
		"high BackoffMin": {&Options{BackoffMin: time.Minute},
			map[string]int64{"BackoffMin": int64(time.Minute), "BackoffMax": int64(time.Minute)}},
		"StreamGrace": {&Options{StreamGrace: -1}, map[string]int64{"StreamGrace": -1}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := test.o.withDefaults("ws://hub.example")
			if err != nil {
				t.Fatal(err)
			}
			for field, want := range usual {
				if differs, ok := test.differ[field]; ok {
					want = differs
				}
				if value := reflect.ValueOf(got).FieldByName(field).Int(); value != want {
					t.Errorf("%s is %d, want %d", field, value, want)
				}
			}
			if got.Logger == nil || got.Dialer == nil || len(got.URLs) != 1 {
				t.Errorf("Logger %v, Dialer %v, URLs %v", got.Logger, got.Dialer, got.URLs)
			}
		})
	}
}
