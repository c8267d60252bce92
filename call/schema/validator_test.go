package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/alkdev/hubspoke/call"
)

// A reference that leads out is refused wherever it stands, and nothing is read.
func TestCompileRefusesRemote(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("the schema was fetched")
	}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "s.json")
	if err := os.WriteFile(file, []byte(`{}`), 0o600); err != nil {
		t.Fatal(err)
	}
	places := []string{
		`%s`,
		`{"properties":{"a":%s}}`,
		`{"properties":{"a":{"items":{"allOf":[{},%s]}}}}`,
		`{"$defs":{"a":%s}}`,
		`{"definitions":{"a":%s}}`,
		`{"not":%s}`, `{"if":%s}`, `{"oneOf":[%s]}`, `{"prefixItems":[%s]}`,
		`{"$schema":"http://json-schema.org/draft-07/schema#","items":[%s]}`,
		`{"dependentSchemas":{"a":%s}}`, `{"dependencies":{"a":%s}}`,
		`{"additionalProperties":%s}`, `{"patternProperties":{"^a":%s}}`, `{"contentSchema":%s}`,
		`{"$id":"https://example.com/root.json","properties":{"a":%s}}`,
	}
	refs := []string{
		server.URL, server.URL + "/s.json#/a", "https://example.com/s", "file://" + file, "file:s.json",
		file, "s.json", "./s.json", "../s.json#/a", "/s.json", "//example.com/s", "?a", "urn:a", "data:,{}", "",
	}
	for _, place := range places {
		for _, ref := range refs {
			for _, keyword := range []string{"$ref", "$dynamicRef", "$REF"} {
				inner, _ := json.Marshal(map[string]string{keyword: ref})
				raw := fmt.Sprintf(place, inner)
				if ref == "" {
					continue // the library takes an empty reference for none
				}
				if _, err := Compile([]byte(raw)); !errors.Is(err, ErrInvalidSchema) {
					t.Errorf("%s: %v", raw, err)
				}
			}
		}
	}
}

func TestCompileRefuses(t *testing.T) {
	for _, raw := range []string{
		``, `null`, `1`, `"x"`, `[]`, `{`, `{} {}`, `{"type":1}`, `{"pattern":"("}`, `{"properties":{"a":null}}`,
		`{"type":"string","type":"number"}`,
		`{"$schema":"http://example.com/schema"}`, `{"$schema":"file:s"}`, `{"$schema":"s.json"}`,
		`{"$defs":{"a":{"$schema":"http://example.com/schema"}}}`,
		`{"$schema":"http://json-schema.org/draft-04/schema#"}`,
		`{"$vocabulary":{"http://example.com":true}}`, `{"$recursiveRef":"#"}`,
		`{"properties":{"a":{"$id":"http://example.com/a"}}}`, `{"$id":"relative"}`,
		`{"$ref":"#/$defs/none"}`, `{"$ref":"#none"}`, `{"$dynamicRef":"#none"}`, `{"$ref":"#/type"}`,
		// Circles.
		`{"$ref":"#"}`,
		`{"allOf":[{"$ref":"#"}]}`,
		`{"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/b"},"b":{"anyOf":[true,{"$ref":"#/$defs/a"}]}}}`,
		`{"$dynamicRef":"#x","$defs":{"a":{"$dynamicAnchor":"x","not":{"$dynamicRef":"#x"}}}}`,
		`{"$anchor":"x","if":{"$ref":"#x"}}`,
		`{"properties":{"a%b/c~d":{"$ref":"#/properties/a%25b~1c~0d"}}}`,
		strings.Repeat(`{"not":`, 200) + `true` + strings.Repeat(`}`, 200),
	} {
		if _, err := Compile([]byte(raw)); !errors.Is(err, ErrInvalidSchema) {
			t.Errorf("Compile(%.80s) = %v", raw, err)
		}
	}
}

func TestCompileTakes(t *testing.T) {
	for _, raw := range []string{
		`true`, `false`, `{}`, `{"x-extra":{"$ref":"http://example.com"}}`,
		`{"const":{"$ref":"http://example.com"},"default":{"$ref":"s"},"enum":[{"$ref":"s"}],"examples":[{"$ref":"s"}]}`,
		`{"properties":{"$ref":{"type":"string"}}}`, // a property of that name
		`{"$schema":"https://json-schema.org/draft/2020-12/schema","$id":"https://example.com/x","$comment":"c"}`,
		`{"$schema":"http://json-schema.org/draft-07/schema#","items":[{"$ref":"#/definitions/a"}],"definitions":{"a":{}}}`,
		`{"properties":{"child":{"$ref":"#"},"all":{"items":{"$ref":"#"}}}}`, // a tree, no circle
		`{"$dynamicAnchor":"n","properties":{"child":{"$dynamicRef":"#n"}}}`,
		`{"dependencies":{"a":["b"],"c":{"required":["d"]}},"$schema":"http://json-schema.org/draft-07/schema#"}`,
	} {
		if _, err := Compile([]byte(raw)); err != nil {
			t.Errorf("Compile(%s): %v", raw, err)
		}
	}
}

const order = `{
	"type": "object", "required": ["id"], "additionalProperties": false,
	"properties": {
		"id": {"type": "string", "pattern": "^[a-z]+$"},
		"a/b": {"type": "integer"},
		"lines": {"type": "array", "maxItems": 3, "items": {"$ref": "#/$defs/line"}},
		"pair": {"prefixItems": [{"type": "string"}, {"minimum": 1}]},
		"labels": {"additionalProperties": {"type": "string"}},
		"parent": {"$ref": "#"},
		"either": {"anyOf": [{"type": "string"}, {"type": "number"}]}
	},
	"$defs": {"line": {"properties": {"quantity": {"minimum": 1}}, "required": ["quantity"]}}
}`

func TestValidateNamesThePlace(t *testing.T) {
	v, err := Compile([]byte(order))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ input, at, schema string }{
		{`null`, "", ""},
		{``, "", ""},
		{`{}`, "", ""},
		{`{"id":"x","more":1}`, "", ""},
		{`{"id":"1"}`, "/id", "/properties/id"},
		{`{"id":"x","a/b":"1"}`, "/a~1b", "/properties/a~1b"},
		{`{"id":"x","lines":[{"quantity":1},{"quantity":0}]}`, "/lines/*/quantity", "/$defs/line/properties/quantity"},
		{`{"id":"x","lines":[{}]}`, "/lines/*", "/$defs/line"},
		{`{"id":"x","lines":[1,2,3,4]}`, "/lines", "/properties/lines"},
		{`{"id":"x","pair":["a",0]}`, "/pair/1", "/properties/pair/prefixItems/1"},
		{`{"id":"x","labels":{"a":1}}`, "/labels/*", "/properties/labels/additionalProperties"},
		{`{"id":"x","parent":{"id":"y","parent":{"id":"1"}}}`, "/parent/parent/id", "/properties/id"},
		{`{"id":"x","either":true}`, "/either", "/properties/either"},
		{`{"id":"x","id":"y"}`, "", ""},
		{`{"id":"x","parent":{"id":"x","id":"x"}}`, "", ""},
		{`{"id":`, "", ""},
		{`{"id":"x"} 1`, "", ""},
		{`{"id":"x","a/b":1e400}`, "", ""},
		{strings.Repeat("[", 101) + strings.Repeat("]", 101), "", ""},
	} {
		err := v.Validate([]byte(test.input))
		e, ok := errors.AsType[*call.Error](err)
		if !ok || e.Code != call.CodeValidation || e.Sent || e.Retryable {
			t.Errorf("%s: %#v", test.input, err)
			continue
		}
		var d Details
		if err := json.Unmarshal(e.Details, &d); err != nil {
			t.Errorf("%s: details %q: %v", test.input, e.Details, err)
		}
		if d.At != test.at || d.Schema != test.schema || d.Reason == "" {
			t.Errorf("%.80s:\n got %+v\nwant %q %q", test.input, d, test.at, test.schema)
		}
	}
	for _, input := range []string{
		`{"id":"x"}`, `{"id":"x","lines":[],"a/b":1.0,"pair":["a",1,null],"labels":{"k":"v"},"either":2,"parent":{"id":"y"}}`,
	} {
		if err := v.Validate([]byte(input)); err != nil {
			t.Errorf("%s: %v", input, err)
		}
	}
}

// An answer stays small, whatever the input quotes.
func TestValidateReasonIsBounded(t *testing.T) {
	v, err := Compile([]byte(`{"type":"object","additionalProperties":{"maxLength":3}}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, input := range []string{
		`"` + strings.Repeat("é", 100_000) + `"`,
		`{"a":"` + strings.Repeat("x", 100_000) + `"}`,
		`{"` + strings.Repeat("k", 100_000) + `":1,"` + strings.Repeat("k", 100_000) + `":1}`,
	} {
		e, _ := errors.AsType[*call.Error](v.Validate([]byte(input)))
		if e == nil || len(e.Details) > 2000 || len(e.Message) > 2000 || !utf8.ValidString(e.Message) {
			t.Errorf("%.20s: %.3000v", input, e)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`null`, `{"a":[1,"b",{"c":null}]}`, `[1,]`, `{"a" 1}`, `[1 2]`, `{"a":1,"a":2}`, `"\ud800"`, "\xff", `]`, `{]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		v, err := decode(raw)
		if err != nil {
			return
		}
		var want any
		if err := json.Unmarshal(raw, &want); err != nil {
			t.Fatalf("decode takes %q, json does not: %v", raw, err)
		}
		if got, want := fmt.Sprintf("%#v", v), fmt.Sprintf("%#v", want); got != want {
			t.Errorf("%q: got %s, want %s", raw, got, want)
		}
	})
}

// Whatever compiles can validate anything without a panic or an end of the stack.
func FuzzCompile(f *testing.F) {
	f.Add([]byte(order), []byte(`{"id":"x","parent":{"id":"1"}}`))
	f.Add([]byte(`{"$ref":"#/$defs/a","$defs":{"a":{"$dynamicRef":"#x"},"b":{"$dynamicAnchor":"x","items":{"$ref":"#"}}}}`), []byte(`[[1]]`))
	f.Add([]byte(`{"$schema":"http://json-schema.org/draft-07/schema#","dependencies":{"a":{"$ref":"#"}}}`), []byte(`{"a":1}`))
	f.Fuzz(func(t *testing.T, raw, input []byte) {
		v, err := Compile(raw)
		if err != nil {
			return
		}
		if err := v.Validate(input); err != nil {
			if e, ok := errors.AsType[*call.Error](err); !ok || !json.Valid(e.Details) {
				t.Errorf("%v", err)
			}
		}
	})
}
