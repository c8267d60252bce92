package hub_test

import (
	"errors"
	"math"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/spoke"
	"github.com/alkdev/hubspoke/transport"
)

// negatives sets each number of a struct of options to -1 and calls try, but for those where a negative number has a meaning.
func negatives[O any](t *testing.T, base O, meaning []string, try func(*O) error) {
	t.Helper()
	for i := range reflect.TypeFor[O]().NumField() {
		field := reflect.TypeFor[O]().Field(i)
		o := base
		v := reflect.ValueOf(&o).Elem().Field(i)
		if !field.IsExported() || !v.CanInt() {
			continue
		}
		v.SetInt(-1)
		err := try(&o)
		switch {
		case slices.Contains(meaning, field.Name):
			if err != nil {
				t.Errorf("%T: %s -1: %v", o, field.Name, err)
			}
		case err == nil:
			t.Errorf("%T: %s -1 was taken", o, field.Name)
		case !strings.Contains(err.Error(), field.Name):
			t.Errorf("%T: %s -1: %v does not name it", o, field.Name, err)
		}
	}
}

func TestNegativeOptions(t *testing.T) {
	negatives(t, hub.Options{AllowAnonymous: true},
		[]string{"MaxConnections", "MaxIdentityConnections", "FramesPerSecond", "BytesPerSecond", "SessionWindow", "StreamGrace"},
		func(o *hub.Options) error {
			h, err := hub.New(o)
			if err == nil {
				h.Close()
			} else if !errors.Is(err, hub.ErrOptions) {
				t.Error(err)
			}
			return err
		})
	negatives(t, spoke.Options{}, []string{"StreamGrace"}, func(o *spoke.Options) error {
		_, err := spoke.New("ws://hub", o)
		if err != nil && !errors.Is(err, spoke.ErrOptions) {
			t.Error(err)
		}
		return err
	})
	negatives(t, transport.AcceptOptions{}, nil, func(o *transport.AcceptOptions) error { return o.Validate() })
	negatives(t, transport.WebSocketDialer{}, nil, func(o *transport.WebSocketDialer) error { return o.Validate() })
}

// New refuses what a layer below would refuse when the first spoke connects.
func TestOptionsThatNoSpokeSurvives(t *testing.T) {
	for name, o := range map[string]hub.Options{
		"empty origin":          {Origins: []string{""}},
		"malformed origin":      {Origins: []string{"[a-"}},
		"origin with a path":    {Origins: []string{"https://app.test/"}},
		"message over 2 GiB":    {MaxMessageBytes: math.MaxInt32 + 1},
		"depth":                 {MaxDepth: 9_901},
		"long id":               {ID: strings.Repeat("x", 129)},
		"id with a line":        {ID: "a\nb"},
		"id that is not UTF-8":  {ID: "a\xe9"},
		"links, no directory":   {Backplane: &hub.Backplane{Links: &hub.MemoryLinks{}}},
		"two ways to be let in": {Authenticate: hub.BearerTokens(nil)},
		"URL":                   {URL: "hub.test:443"},
		"URL of another scheme": {URL: "tcp://hub.test"},
	} {
		o.AllowAnonymous = true
		if h, err := hub.New(&o); !errors.Is(err, hub.ErrOptions) {
			t.Errorf("%s: %v", name, err)
			if err == nil {
				h.Close()
			}
		}
	}
	if _, err := hub.New(nil); !errors.Is(err, hub.ErrOptions) {
		t.Error(err)
	}
	h, err := hub.New(&hub.Options{AllowAnonymous: true, Origins: []string{"*"}, MaxDepth: 9_900, MaxMessageBytes: math.MaxInt32, ID: strings.Repeat("x", 128), URL: "wss://hub.test/spoke"})
	if err != nil {
		t.Fatal(err)
	}
	h.Close()
}

func TestSpokeOptionsThatNoHubTakes(t *testing.T) {
	token := spoke.StaticToken("x")
	for name, c := range map[string]struct {
		url string
		o   spoke.Options
	}{
		"long id":              {o: spoke.Options{ID: strings.Repeat("x", 129)}},
		"id with a line":       {o: spoke.Options{ID: "a\nb"}},
		"id that is not UTF-8": {o: spoke.Options{ID: "a\xe9"}},
		"message over 2 GiB":   {o: spoke.Options{MaxMessageBytes: math.MaxInt32 + 1}},
		"backoff":              {o: spoke.Options{BackoffMin: time.Second, BackoffMax: time.Millisecond}},
		"two clients":          {o: spoke.Options{Dialer: &transport.WebSocketDialer{}, HTTPClient: http.DefaultClient}},
		"bad dialer":           {o: spoke.Options{Dialer: &transport.WebSocketDialer{Linger: -1}}},
		"dialer takes less":    {o: spoke.Options{Dialer: &transport.WebSocketDialer{MaxMessageBytes: 1000}}},
		"two tokens":           {o: spoke.Options{Token: token, Header: http.Header{"Authorization": {"Bearer y"}}}},
		"token and user info":  {url: "ws://user:password@hub", o: spoke.Options{Token: token}},
		"header name":          {o: spoke.Options{Header: http.Header{"a b": {"c"}}}},
		"header value":         {o: spoke.Options{Header: http.Header{"X-Secret": {"sesame\n"}}}},
		"handshake header":     {o: spoke.Options{Header: http.Header{"Upgrade": {"h2c"}}}},
		"no host":              {url: "ws:///spoke"},
		"no host but a port":   {url: "ws://:8080"},
		"scheme":               {url: "tcp://hub"},
		"second URL":           {o: spoke.Options{URLs: []string{"hub.test"}}},
	} {
		if c.url == "" {
			c.url = "ws://hub"
		}
		if _, err := spoke.New(c.url, &c.o); !errors.Is(err, spoke.ErrOptions) || strings.Contains(err.Error(), "sesame") || strings.Contains(err.Error(), "password@") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := spoke.New("wss://hub:443/spoke?x=y", &spoke.Options{BackoffMax: time.Millisecond, Header: http.Header{"X-A": {"b\tc"}}, Dialer: &transport.WebSocketDialer{}, Token: token}); err != nil {
		t.Error(err)
	}
}
