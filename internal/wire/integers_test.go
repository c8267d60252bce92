package wire

import (
	"fmt"
	"strings"
	"testing"
)

// payload returns what is wrong with a payload.
func payload(t Type, text string) error {
	var m Message
	if err := Parse([]byte(`{"type":"`+t.String()+`","payload":`+text+`}`), &m); err != nil {
		panic(err)
	}
	return m.Err
}

// A number that is not written as an integer, or is negative where it may not be, is refused with an error that names
// the member.
func TestIntegers(t *testing.T) {
	registration := func(format string) func(string) error {
		return func(n string) error { _, err := ParseRegistration(fmt.Appendf(nil, format, n)); return err }
	}
	registered := func(format string) func(string) error {
		return func(n string) error { _, err := ParseRegistered(fmt.Appendf(nil, format, n)); return err }
	}
	request := func(name string) func(string) error {
		return func(n string) error {
			return payload(Requested, fmt.Sprintf(`{"requestId":"1","operationId":"a.b",%q:%s}`, name, n))
		}
	}
	answer := `{"spokeId":"s","%s":%%s}`
	session := `{"spokeId":"s","session":{"id":"x","%s":%%s}}`
	members := map[string]struct {
		parse    func(string) error
		negative bool // is allowed
	}{
		"attempt":              {registration(`{"instanceId":"i","attempt":%s}`), false},
		"maxInFlight":          {registration(`{"maxInFlight":%s}`), false},
		"maxMessageBytes":      {registration(`{"maxMessageBytes":%s}`), false},
		"maxDepth":             {registration(`{"maxDepth":%s}`), false},
		"session.received":     {registration(`{"instanceId":"i","attempt":1,"session":{"id":"x","received":%s}}`), false},
		"session.window":       {registration(`{"instanceId":"i","attempt":1,"session":{"window":%s}}`), false},
		"session.buffer":       {registration(`{"instanceId":"i","attempt":1,"session":{"buffer":%s}}`), false},
		"generation":           {registered(fmt.Sprintf(answer, "generation")), true},
		"heartbeatInterval":    {registered(fmt.Sprintf(answer, "heartbeatInterval")), false},
		"maxRegistrationBytes": {registered(fmt.Sprintf(answer, "maxRegistrationBytes")), false},
		"maxOperations":        {registered(fmt.Sprintf(answer, "maxOperations")), false},
		"received":             {registered(fmt.Sprintf(session, "received")), false},
		"window":               {registered(fmt.Sprintf(session, "window")), false},
		"buffer":               {registered(fmt.Sprintf(session, "buffer")), false},
		"timeout":              {request("timeout"), true},
		"deadline":             {request("deadline"), true},
		"idleTimeout":          {request("idleTimeout"), false},
		"credit":               {request("credit"), false},
		"credit of a frame":    {func(n string) error { return payload(Credited, `{"requestId":"1","credit":`+n+`}`) }, false},
		"received of a frame":  {func(n string) error { return payload(Ack, `{"received":`+n+`}`) }, false},
		"retryAfter":           {func(n string) error { return payload(Drain, `{"retryAfter":`+n+`}`) }, true},
		"dropped":              {func(n string) error { return payload(Gap, `{"topic":"a","dropped":`+n+`}`) }, true},
	}
	for name, m := range members {
		for _, n := range []string{"0", "7", "-1", "1.5", "1.0", "1e3", "-0.5", `"1"`, "99999999999999999999"} {
			err := m.parse(n)
			good := n == "0" || n == "7" || n == "-1" && m.negative
			if (err == nil) != good {
				t.Errorf("%s: %s: %v", name, n, err)
			}
			short := name[strings.IndexByte(name, '.')+1:]
			short, _, _ = strings.Cut(short, " ")
			if err != nil && !strings.Contains(err.Error(), short) {
				t.Errorf("%s: %s: the error does not name it: %v", name, n, err)
			}
		}
	}
}
