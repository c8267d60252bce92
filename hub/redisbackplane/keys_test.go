package redisbackplane

import (
	"strings"
	"testing"
)

// The keys of different ids are different, and each has a hash tag that is not empty and ends where the id does.
func TestKeysOfDifferentIDs(t *testing.T) {
	k := keys{"alk:hubspoke:"}
	seen := map[string]string{}
	for _, id := range []string{"x", "", "}", "}}", "{", "{}", "%", "%7D", "%%7D", "%25", "%%25", "%}", "%257D", "%%257D", "x}", "x}y", "x%7Dy", "x%y", "%x", "ü}"} {
		for name, key := range map[string]string{"record": k.record(id), "lease": k.lease(id), "mail": k.mail(id), "inbox": k.inbox(id), "providers": k.providers(id)} {
			if other, taken := seen[key]; taken {
				t.Errorf("%s of %q is that of %s: %s", name, id, other, key)
			}
			seen[key] = name + " " + id
			_, tagged, _ := strings.Cut(key, "{")
			if tagged, _, _ = strings.Cut(tagged, "}"); tagged == "" || strings.Count(key, "}") != 1 {
				t.Errorf("%s of %q is %s", name, id, key)
			}
		}
		if key := k.record(id); id != "" && !strings.ContainsAny(id, "}%") && key != "alk:hubspoke:spoke:{"+id+"}" {
			t.Errorf("%q is %s", id, key)
		}
	}
	for id, want := range map[string]string{"": "%", "}": "%%7D", "%": "%%25", "x}y": "%x%7Dy", "x%y": "x%y"} {
		if got := k.record(id); got != "alk:hubspoke:spoke:{"+want+"}" {
			t.Errorf("%q is %s, want the tag %s", id, got, want)
		}
	}
}
