package call_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/alkdev/hubspoke/call"
)

type typed struct {
	Name  string                `json:"name"`
	List  []int                 `json:"list"`
	Map   map[string]int        `json:"map"`
	Left  []int                 `json:"left,omitempty"`
	Zero  int                   `json:"zero,omitempty"`
	Raw   json.RawMessage       `json:"raw,omitempty"`
	Any   any                   `json:"any,omitempty"`
	Bytes []byte                `json:"bytes,omitempty"`
	Embed struct{ Text string } `json:"embed,omitzero"`
}

// Typed values follow the rules of encoding/json, version 1, also where its engine is that of version 2: with
// GOEXPERIMENT=jsonv2, and from Go 1.27 on.
func TestTypedValuesFollowVersion1(t *testing.T) {
	var r call.Registry
	must(t, call.Handle(&r, call.Operation{Name: "x.echo"}, func(_ context.Context, in typed) (typed, error) { return in, nil }))
	for _, test := range []struct{ rule, input, output string }{
		{"a nil slice and a nil map are null; empty ones of omitempty are left out", `{}`, `{"name":"","list":null,"map":null}`},
		{"an empty slice and an empty map are kept", `{"list":[],"map":{},"left":[]}`, `{"name":"","list":[],"map":{}}`},
		{"the last of two members counts", `{"name":"a","name":"b"}`, `{"name":"b","list":null,"map":null}`},
		{"two members of one map are merged", `{"map":{"a":1},"map":{"b":2}}`, `{"name":"","list":null,"map":{"a":1,"b":2}}`},
		{"a name in another case is the member", `{"NAME":"a","List":[1]}`, `{"name":"a","list":[1],"map":null}`},
		{"an unknown member is ignored", `{"more":[{}],"name":"a"}`, `{"name":"a","list":null,"map":null}`},
		{"null changes nothing", `{"name":null,"list":null,"zero":null,"embed":null}`, `{"name":"","list":null,"map":null}`},
		{"keys are sorted", `{"map":{"b":1,"a":2}}`, `{"name":"","list":null,"map":{"a":2,"b":1}}`},
		{"HTML is escaped", `{"name":"<&>"}`, `{"name":"\u003c\u0026\u003e","list":null,"map":null}`},
		{"raw JSON is compacted", `{"raw":{"a": [1, 2]}}`, `{"name":"","list":null,"map":null,"raw":{"a":[1,2]}}`},
		{"an any has maps, slices and float64", `{"any":{"a":[1e2,true,null]}}`, `{"name":"","list":null,"map":null,"any":{"a":[100,true,null]}}`},
		{"bytes are base64", `{"bytes":"aGk="}`, `{"name":"","list":null,"map":null,"bytes":"aGk="}`},
		{"a lone surrogate is U+FFFD", `{"name":"\ud800"}`, `{"name":"` + "\ufffd" + `","list":null,"map":null}`},
	} {
		if sent, err := serve(t, &r, "x.echo", test.input); err != nil || len(sent) != 1 || sent[0] != test.output {
			t.Errorf("%s: %s is answered with %q, %v; want %s", test.rule, test.input, sent, err, test.output)
		}
	}
	for rule, input := range map[string]string{
		"a number does not fit a string": `{"name":1}`, "a fraction does not fit an int": `{"zero":1.5}`,
		"a number out of range does not fit": `{"any":1e400}`, "bytes that are not base64": `{"bytes":"*"}`,
	} {
		if sent, err := serve(t, &r, "x.echo", input); !errors.Is(err, call.CodeValidation) || len(sent) != 0 {
			t.Errorf("%s: %s is answered with %q, %v", rule, input, sent, err)
		}
	}
	f := &fakeCaller{answers: []string{`{"name":"a","NAME":"b","more":1,"list":[]}`}}
	out, err := call.Invoke[typed](t.Context(), f, "x.echo", typed{Name: "bad \xff"})
	if err != nil || out.Name != "b" || out.List == nil {
		t.Errorf("%+v, %v", out, err)
	}
	var in struct{ Name string } // the engines differ in whether U+FFFD is escaped
	if err := json.Unmarshal(f.req.Input, &in); err != nil || in.Name != "bad \ufffd" {
		t.Errorf("bytes that are not UTF-8 in the input: %s, %v", f.req.Input, err)
	}
}
