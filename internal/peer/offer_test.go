package peer

import (
	"encoding/json"
	"runtime"
	"testing"
	"time"
)

func mustParse(t *testing.T, offers *Offers, input string) *Registration {
	t.Helper()
	r, err := Limits{Offers: offers}.Parse([]byte(input))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Equal operations are held once, and only as long as somebody holds them.
func TestOffersAreShared(t *testing.T) {
	var offers Offers
	a := mustParse(t, &offers, `{"spokeId":"a","operations":[{"name":"x.y"}]}`)
	b := mustParse(t, &offers, `{"spokeId":"b","operations":[{"name":"x.y"}]}`)
	c := mustParse(t, &offers, `{"spokeId":"c","operations":[{"name":"x.z"}]}`)
	if a.Offer != b.Offer || a.Offer == c.Offer {
		t.Error("equal operations are not shared, or different ones are")
	}
	if op, ok := b.Offer.ByName["x.y"]; !ok || op.Name != "x.y" || len(b.Operations) != 1 {
		t.Errorf("the shared offer is %+v", b.Offer)
	}
	if _, err := (Limits{Offers: &offers}).Parse([]byte(`{"operations":[{"name":"bad"}]}`)); err == nil {
		t.Error("a malformed list is taken")
	}
	if r := mustParse(t, &offers, `{}`); r.Offer != nil {
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
			t.Fatalf("%d offers are held by nobody but the Offers", known())
		default:
			runtime.Gosched()
		}
	}
}

// What is written by hand is what encoding/json makes of it.
func TestRegisteredAsJSON(t *testing.T) {
	for _, r := range []*Registered{
		{HubID: "h", SpokeID: `s"\`, ConnectionID: "c", Generation: 7, HeartbeatInterval: 25000, MaxMessageBytes: 1 << 20},
		{SpokeID: "s", Session: &SessionAnswer{Received: 1 << 63, Window: 15000, URL: "wss://x"}},
		{SpokeID: "s", Session: &SessionAnswer{}},
	} {
		want, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.appendTo(nil); string(got) != string(want) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
