package registration

import (
	"errors"
	"strings"
	"testing"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/transport"
)

func TestRegisterAndAnswer(t *testing.T) {
	a, b := transport.Pipe(nil)
	defer a.Abort()
	defer b.Abort()
	in := &wire.Registration{SpokeID: "w", InstanceID: "i", Labels: map[string]string{"k": "v"}, MaxInFlight: 3, MaxMessageBytes: 9}
	operations := []call.Operation{{Name: "a.b", Type: call.Query}}
	out := &wire.Registered{HubID: "h", SpokeID: "w", ConnectionID: "c", Generation: 1 << 60, HeartbeatInterval: 25000, MaxMessageBytes: 7}
	done := make(chan error, 1)
	go func() {
		id, r, err := Read(b, Limits{})
		if err == nil && (r.SpokeID != "w" || r.InstanceID != "i" || r.MaxInFlight != 3 || r.Labels["k"] != "v" || len(r.Set.Operations) != 1) {
			err = errors.New("another registration arrived")
		}
		if err != nil {
			b.Abort() // or the other end would wait
		} else {
			err = WriteRegistered(b, id, out)
		}
		done <- err
	}()
	got, err := Register(a, in, operations)
	if err != nil || *got != *out {
		t.Errorf("%+v, %v", got, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	go func() {
		id, _, _ := Read(b, Limits{})
		done <- WriteRefused(b, id, &call.Error{Code: call.CodeAccessDenied, Message: "no"})
	}()
	_, err = Register(a, in, operations)
	if e, ok := errors.AsType[*call.Error](err); !ok || e.Code != call.CodeAccessDenied || e.Sent {
		t.Errorf("refused with %v", err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestFirstFrame(t *testing.T) {
	head := `call.requested {"requestId":"1","operationId":"hub.register"`
	for name, c := range map[string]struct {
		frames []string
		id     string // of who can be answered
		err    bool
		none   bool // ErrNotRegistration
	}{
		"empty":           {[]string{head + `}`}, "1", false, false},
		"after pings":     {[]string{`__ping null`, `__ping {}`, head + `,"input":{}}`}, "1", false, false},
		"event":           {[]string{`some.topic {}`}, "", true, true},
		"pong":            {[]string{`__pong null`}, "", true, true},
		"other operation": {[]string{`call.requested {"requestId":"1","operationId":"hub.info"}`}, "", true, true},
		"no id":           {[]string{`call.requested {"operationId":"hub.register"}`}, "", true, true},
		"twice":           {[]string{head + `,"input":{},"input":{}}`}, "1", true, false},
		"no attempt":      {[]string{head + `,"input":{"instanceId":"i"}}`}, "1", true, false},
		"wrong kind":      {[]string{head + `,"input":[]}`}, "1", true, false},
		"member twice":    {[]string{head + `,"input":{"spokeId":"a","spokeId":"b"}}`}, "1", true, false},
	} {
		a, b := transport.Pipe(nil)
		for _, f := range c.frames {
			typ, payload, _ := strings.Cut(f, " ")
			if err := a.Write([][]byte{wire.AppendEvent(nil, typ, []byte(payload))}); err != nil {
				t.Fatal(err)
			}
		}
		id, _, err := Read(b, Limits{})
		if id != c.id || (err != nil) != c.err || errors.Is(err, ErrNotRegistration) != c.none {
			t.Errorf("%s: %q, %v", name, id, err)
		}
		a.Abort()
		if _, _, err := Read(b, Limits{}); !errors.Is(err, transport.ErrLost) {
			t.Errorf("%s: a lost connection: %v", name, err)
		}
		b.Abort()
	}
}

func TestHubAnswersSomethingElse(t *testing.T) {
	for _, f := range []string{
		`some.topic {}`, `call.responded {"requestId":"other"}`, `call.completed {"requestId":"register"}`,
		`call.responded {"requestId":"register","output":{"spokeId":5}}`, `call.responded {"requestId":"register","output":{}}`,
		`call.responded {"requestId":"register"}`, `call.responded {"requestId":"register","output":{"spokeId":"w","heartbeatInterval":-1}}`,
	} {
		a, b := transport.Pipe(nil)
		typ, payload, _ := strings.Cut(f, " ")
		if err := b.Write([][]byte{wire.AppendEvent(nil, typ, []byte(payload))}); err != nil {
			t.Fatal(err)
		}
		if r, err := Register(a, &wire.Registration{}, nil); err == nil {
			t.Errorf("%s: %+v", f, r)
		}
		a.Abort()
		b.Abort()
	}
}

// Each announcement of a hub is optional: absent or 0, it is unknown to the spoke.
func TestHubAnswersLittle(t *testing.T) {
	for _, data := range []string{
		`{"spokeId":"w"}`,
		`{"hubId":"h","spokeId":"w","connectionId":"c","generation":1,"heartbeatInterval":0,"maxMessageBytes":0,"maxDepth":0,"maxRegistrationBytes":0,"maxOperations":0}`,
		`{"spokeId":"w","heartbeatInterval":1,"maxMessageBytes":1,"maxDepth":1,"maxRegistrationBytes":1,"maxOperations":1,"unknown":[]}`,
	} {
		a, b := transport.Pipe(nil)
		if err := b.Write([][]byte{wire.AppendEvent(nil, "call.responded", []byte(`{"requestId":"register","output":`+data+`}`))}); err != nil {
			t.Fatal(err)
		}
		if r, err := Register(a, &wire.Registration{}, nil); err != nil || r.SpokeID != "w" {
			t.Errorf("%s: %+v, %v", data, r, err)
		}
		a.Abort()
		b.Abort()
	}
}

func TestParse(t *testing.T) {
	for input, ok := range map[string]bool{
		``: true, `{}`: true, `{"unknown":1,"SPOKEID":5,"Attempt":"x"}`: true, `{"spokeId":null,"operations":null,"session":null,"labels":null}`: true,
		`{"instanceId":"i","attempt":0}`: true, `{"instanceId":"i"}`: false, `{"instanceId":"i","attempt":null}`: false,
		`{"instanceId":"i","attempt":-1}`: false, `{"attempt":9}`: true, `null`: false, `5`: false,
		`{"spokeId":"` + strings.Repeat("x", MaxSpokeIDBytes) + `"}`: true, `{"spokeId":"` + strings.Repeat("x", MaxSpokeIDBytes+1) + `"}`: false,
		`{"spokeId":"a\u0000"}`: false, `{"spokeId":"a\u0085"}`: false, `{"spokeId":"\ud800"}`: false, `{"spokeId":5}`: false,
		`{"maxInFlight":-1}`: false, `{"maxMessageBytes":-1}`: false, `{"maxInFlight":1000000000000000000}`: true, `{"maxInFlight":1e19}`: false,
		`{"labels":{"a":1}}`: false, `{"labels":{"a":"1","a":"2"}}`: false, `{"session":[]}`: false, `{"operations":{}}`: false,
		`{"operations":[5]}`: false, `{"operations":[{}]}`: false, `{"operations":[{"name":"a.b"}]}`: true,
		`{"operations":[{"name":"a.b"},{"name":"a.b"}]}`: false, `{"operations":[{"name":"hub.info"}]}`: false,
		`{"operations":[{"name":"a.b","type":"stream"}]}`: false, `{"operations":[{"name":"a.b","accessControl":{"requiredScopes":"s"}}]}`: false,
		`{"operations":[{"name":"a.b","accessControl":{"resourceType":"t"}}]}`: false, `{"operations":[{"name":"a.b","accessControl":5}]}`: false,
		`{"operations":[{"name":"a.b","name":"c.d"}]}`: false, `{"operations":[{"name":"a.b","errorCodes":["x"]}]}`: false,
	} {
		if _, err := parse([]byte(input), nil); (err == nil) != ok {
			t.Errorf("%s: %v", input, err)
		}
	}
}
