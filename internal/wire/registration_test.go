package wire

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// A registration is read as a whole. Numbers over a bound are lowered to it.
func TestRegistration(t *testing.T) {
	for in, want := range map[string]*Registration{
		``:   {},
		`{}`: {},
		`{"spokeId":"s","instanceId":"i","attempt":3,"name":"n","labels":{"a":"b"},"version":"v","operations":[1],"maxInFlight":5,"maxMessageBytes":9,"maxDepth":7,
			"session":{"id":"x","received":4,"window":5,"buffer":6}}`: {
			SpokeID: "s", InstanceID: "i", Attempt: 3, Name: "n", Labels: map[string]string{"a": "b"}, Version: "v", Operations: []byte(`[1]`),
			MaxInFlight: 5, MaxMessageBytes: 9, MaxDepth: 7, Session: &Offer{ID: "x", Received: 4, Window: 5, Buffer: 6}},
		`{"maxInFlight":1048575,"maxDepth":9899}`:               {MaxInFlight: 1<<20 - 1, MaxDepth: 9899},
		`{"maxInFlight":1048577,"maxDepth":9901}`:               {MaxInFlight: 1 << 20, MaxDepth: 9900},
		`{"maxInFlight":9223372036854775807,"maxDepth":999999}`: {MaxInFlight: 1 << 20, MaxDepth: 9900},
		`{"instanceId":"i","attempt":0,"session":{}}`:           {InstanceID: "i", Session: &Offer{}},
		`{"instanceId":"i","attempt":0,"session":null}`:         {InstanceID: "i"},
	} {
		got, err := ParseRegistration([]byte(in))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", in, got, err)
		}
	}
	long := strings.Repeat("x", 128)
	if got, err := ParseRegistration([]byte(`{"instanceId":"i","attempt":0,"session":{"id":"` + long + `"}}`)); err != nil || got.Session.ID != long {
		t.Errorf("an id of 128 bytes: %v", err)
	}
	for in, want := range map[string]string{
		`{"instanceId":"i"}`:                                              "requires an attempt",
		`{"instanceId":"i","attempt":null}`:                               "requires an attempt",
		`{"session":{}}`:                                                  "a session requires an instanceId",
		`{"instanceId":"i","attempt":1,"session":{"id":""}}`:              "session.id",
		`{"instanceId":"i","attempt":1,"session":{"id":7}}`:               "session.id",
		`{"instanceId":"i","attempt":1,"session":{"id":null}}`:            "",
		`{"instanceId":"i","attempt":1,"session":{"id":"` + long + `x"}}`: "session.id is not a string of 1 to 128 bytes",
		`{"instanceId":"i","attempt":1,"session":[]}`:                     "session",
		`{"labels":{"a":1}}`:                                              `"a"`, `{"name":7}`: `"name"`, `[]`: "object",
	} {
		if r, err := ParseRegistration([]byte(in)); (err == nil) != (want == "") || err != nil && (r != nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %+v, %v", in, r, err)
		}
	}
}

// The answer to a registration is bounded likewise.
func TestRegisteredBounds(t *testing.T) {
	long := strings.Repeat("x", 128)
	for in, want := range map[string]*Registered{
		`{"spokeId":"s","maxDepth":9901,"maxRegistrationBytes":2147483648,"maxOperations":2147483648}`: {SpokeID: "s", MaxDepth: 9900, MaxRegistrationBytes: 1<<31 - 1, MaxOperations: 1<<31 - 1},
		`{"spokeId":"s","maxDepth":9899,"maxRegistrationBytes":2147483646,"maxOperations":2147483646}`: {SpokeID: "s", MaxDepth: 9899, MaxRegistrationBytes: 1<<31 - 2, MaxOperations: 1<<31 - 2},
		`{"spokeId":"s","session":{"id":"` + long + `"}}`:                                              {SpokeID: "s", Session: &Session{ID: long}},
	} {
		if got, err := ParseRegistered([]byte(in)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", in, got, err)
		}
	}
	if r, err := ParseRegistered([]byte(`{"spokeId":"s","session":{"id":"` + long + `x"}}`)); err == nil {
		t.Errorf("an id of 129 bytes: %+v", r)
	}
}

func TestOperation(t *testing.T) {
	in := `{"name":"a.b","type":"query","description":"d","inputSchema":{"a":1},"outputSchema":[],"errorCodes":["A"],
		"accessControl":{"requiredScopes":["s"],"requiredScopesAny":["t","u"],"resourceType":"r","resourceAction":"x"},"more":1}`
	want := Operation{Name: "a.b", Type: "query", Description: "d", InputSchema: []byte(`{"a":1}`), OutputSchema: []byte(`[]`), ErrorCodes: []string{"A"},
		RequiredScopes: []string{"s"}, RequiredScopesAny: []string{"t", "u"}, ResourceType: "r", ResourceAction: "x"}
	if got, err := ParseOperation([]byte(in)); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := ParseOperation([]byte(`{"name":"a.b"}`)); err != nil || !reflect.DeepEqual(got, Operation{Name: "a.b"}) {
		t.Errorf("%+v, %v", got, err)
	}
	for in, want := range map[string]string{
		`{"name":7}`: `"name"`, `[]`: "operations", `{"name":"a.b","errorCodes":["A",1]}`: `"errorCodes"`, `{"name":"a.b","accessControl":[]}`: `"accessControl"`,
		`{"name":"a.b","accessControl":{"requiredScopes":"s"}}`: `operation "a.b": accessControl`,
	} {
		if op, err := ParseOperation([]byte(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v", in, op, err)
		}
	}
}

func TestIdentity(t *testing.T) {
	for in, want := range map[string]string{
		`{"id":"i"}`: "i [] map[]",
		`{"id":"i","scopes":["a","b"],"resources":{"r":["x"],"s":[]},"more":1}`: "i [a b] map[r:[x] s:[]]",
		`{"id":"i","scopes":null,"resources":null}`:                             "i [] map[]",
		`{}`: " [] map[]",
	} {
		id, scopes, resources, err := ParseIdentity([]byte(in))
		if got := fmt.Sprint(id, " ", scopes, " ", resources); err != nil || got != want {
			t.Errorf("%s: %s, %v", in, got, err)
		}
	}
	for in, want := range map[string]string{
		`{"id":7}`: `"id"`, `{"id":"i","scopes":"a"}`: `"scopes"`, `{"id":"i","scopes":[1]}`: `"scopes"`, `{"id":"i","resources":[]}`: "is not an object",
		`{"id":"i","resources":{"r":"x"}}`: `"r" is not an array of strings`, `{"id":"i","resources":{"r":[1]}}`: `"r" is not an array of strings`,
		`{"id":"i","resources":{"r":[],"r":[]}}`: `duplicate member "r"`, `{"id":"i","id":"i"}`: `"id"`, `[]`: "object",
	} {
		id, scopes, resources, err := ParseIdentity([]byte(in))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "identity: ") || id != "" || scopes != nil || resources != nil {
			t.Errorf("%s: %q %v %v, %v", in, id, scopes, resources, err)
		}
	}
}
