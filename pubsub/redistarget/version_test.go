package redistarget

import (
	"strings"
	"testing"
)

func TestCheckVersion(t *testing.T) {
	for _, c := range []struct {
		version string
		major   int
		sharded bool
		want    string // in the error; empty for none
	}{
		{"7.0.15", 7, true, ""},
		{"10.1.0", 10, true, ""},
		{"6.2.14", 6, false, ""},
		{"6.2.14", 6, true, "redistarget.Plain"},
		{"5.0.7", 5, false, "6 or later"},
		{"", 0, true, ""},
	} {
		err := checkVersion(c.version, c.major, c.sharded)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("version %s, sharded %t: %v, want %q", c.version, c.sharded, err, c.want)
		}
	}
}
