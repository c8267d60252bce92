package registration

import (
	"runtime"
	"testing"
	"time"
)

func mustParse(t *testing.T, offers *OperationSets, input string) *Registration {
	t.Helper()
	r, err := Limits{Sets: offers}.Parse([]byte(input))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Equal operations are held once, and only as long as a registration holds them.
func TestOperationSetsAreShared(t *testing.T) {
	var offers OperationSets
	a := mustParse(t, &offers, `{"spokeId":"a","operations":[{"name":"x.y"}]}`)
	b := mustParse(t, &offers, `{"spokeId":"b","operations":[{"name":"x.y"}]}`)
	c := mustParse(t, &offers, `{"spokeId":"c","operations":[{"name":"x.z"}]}`)
	if a.Set != b.Set || a.Set == c.Set {
		t.Error("equal operations are not shared, or different ones are")
	}
	if op, ok := b.Set.ByName["x.y"]; !ok || op.Name != "x.y" || len(b.Set.Operations) != 1 {
		t.Errorf("the shared offer is %+v", b.Set)
	}
	if _, err := (Limits{Sets: &offers}).Parse([]byte(`{"operations":[{"name":"bad"}]}`)); err == nil {
		t.Error("a malformed list is taken")
	}
	if r := mustParse(t, &offers, `{}`); r.Set == nil || len(r.Set.Operations) > 0 || r.Set.ByName[""].Name != "" {
		t.Error("an offer without operations")
	}
	runtime.KeepAlive(a)
	runtime.KeepAlive(b)
	runtime.KeepAlive(c)
	known := func() int {
		offers.mu.Lock()
		defer offers.mu.Unlock()
		return len(offers.known)
	}
	give := time.After(10 * time.Second)
	for known() > 0 {
		runtime.GC()
		select {
		case <-give:
			t.Fatalf("%d offers are held by the Offers alone", known())
		default:
			runtime.Gosched()
		}
	}
}
