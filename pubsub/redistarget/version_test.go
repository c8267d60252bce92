package redistarget

import (
	"strings"
	"testing"
)

func TestCheckInfo(t *testing.T) {
	for _, c := range []struct {
		version string
		sharded bool
		want    string // in the error; empty for none
	}{
		{"7.0.15", true, ""},
		{"10.1.0", true, ""},
		{"6.2.14", false, ""},
		{"6.2.14", true, "redistarget.Plain"},
		{"5.0.7", false, "6 or later"},
		{"unstable", true, ""},
	} {
		err := checkInfo("# Server\r\nredis_version:"+c.version+"\r\nos:Linux\r\n", c.sharded)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("version %s, sharded %t: %v, want %q", c.version, c.sharded, err, c.want)
		}
	}
	if err := checkInfo("no version in here", true); err != nil {
		t.Errorf("without a version: %v", err)
	}
}
