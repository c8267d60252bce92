package jsonscan_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/alkdev/hubspoke/internal/jsonscan"
)

var seeds = []string{
	"", " ", "0", "-", "01", "1.5e-7", "1.", "1e", "tru", "true", "null ", "nulls", `"`, `""`, `"\u00e9\n\/"`, `"\u12"`, `"\ud800\udc00\ud800"`,
	"\"\x1f\"", "\"\xff\"", `"\x"`, "[]", "[1,]", "[,]", "[1 2]", `{"a":1}`, `{"a":1,}`, `{a:1}`, `{"a" 1}`, `{"a":1 "b":2}`, `{"a":[{}],"a":{"b":[]}}`,
	`[[[[{"x":[1,2,{"y":"]}"}]}]]]]`, "{\"\\u0061\":1}", `{"long name that fills words":"and a value \\\" of some length"}`, `[1]]`, `{}}`, `[}`, `{]`, "{\"a\":1\u00a0}",
	`{"a\"b":"c\\"}`, "\ufeff{}", "-0", "[-]", "1e+5", "12345678", `{"a":"` + "\x00" + `"}`,
}

// nested values, with brackets, quotes and backslashes in strings.
var nested = []string{
	`[[[[[[[[[[]]]]]]]]]]`, `{"a":{"b":{"c":{"d":{"e":{}}}}}}`, `[{"a":"]"},{"b":"}"},"[",["{"]]`,
	`["\"","\\","\\\"","\\\\","\\\\\"]"]`, `[[],{},[[]],"",[""]]`, `{"":"","":[]}`, `[1,2,3,[4,5,[6,7,[8,9]]],{"k":-0.5e+7}]`,
	`["` + strings.Repeat(`]`, 40) + `",["` + strings.Repeat(`\\`, 33) + `\"]"],"` + strings.Repeat("x", 200) + `\\"]`,
	`[ {	"a" : [ "` + strings.Repeat(`\"}`, 30) + `" ] } , "語]" ]`, `["\u005d\u0022","é]","😀{"]`, "[\"\x7f]\",\"\u00dd\u00fb\"]",
}

func FuzzValid(f *testing.F) {
	for _, s := range append(nested, seeds...) {
		f.Add([]byte(s))
	}
	f.Fuzz(validSame)
}

// These compare one function each with encoding/json.
func validSame(t *testing.T, data []byte) {
	t.Helper()
	want := json.Valid(data)
	if err := jsonscan.Check(data, jsonscan.MaxDepth); (err == nil) != (want && utf8.Valid(data)) {
		t.Fatalf("%q: %v, want %v", data, err, want)
	}
	if _, err := enterAll(data); (err == nil) != want {
		t.Fatalf("%q entered: %v, want %v", data, err, want)
	}
}

func FuzzObject(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(objectSame)
}

func objectSame(t *testing.T, data []byte) {
	t.Helper()
	var want map[string]json.RawMessage
	ok := json.Unmarshal(data, &want) == nil && want != nil
	got, err := members(data)
	if ok != (err == nil) {
		t.Fatalf("%q: %v, want %v", data, err, ok)
	}
	if !ok || !utf8.Valid(data) { // encoding/json makes names valid UTF-8; this package leaves them unchanged
		return
	}
	last := map[string]json.RawMessage{}
	for _, m := range got {
		last[m.name] = json.RawMessage(m.value)
		if entered, err := enterAll(m.value); err != nil || entered != m.depth {
			t.Fatalf("%q: member %q has the depth %d, entered %d: %v", data, m.name, m.depth, entered, err)
		}
	}
	if len(last) != len(want) {
		t.Fatalf("%q: %q, want %q", data, last, want)
	}
	for name, value := range want {
		if !bytes.Equal(last[name], value) {
			t.Fatalf("%q: member %q is %q, want %q", data, name, last[name], value)
		}
	}
}

type member struct {
	name  string
	value []byte
	depth int
}

var errKind = errors.New("another kind")

// members reads an object, values whole.
func members(data []byte) (list []member, err error) {
	c := jsonscan.Read(data)
	if !c.Object() {
		return nil, cmp.Or(c.End(), errKind)
	}
	for c.Member() {
		name := string(c.Name())
		if raw := c.Value(); raw != nil {
			list = append(list, member{name, raw, c.Depth()})
		}
	}
	if c.Member() || c.Element() || c.Value() != nil || c.Object() || c.Array() || c.Kind() != 0 {
		return nil, errors.New("the cursor continues behind its end")
	}
	return list, c.End()
}

// elements reads an array, values whole.
func elements(data []byte) (list []json.RawMessage, err error) {
	c := jsonscan.Read(data)
	if !c.Array() {
		return nil, cmp.Or(c.End(), errKind)
	}
	for c.Element() {
		if raw := c.Value(); raw != nil {
			list = append(list, raw)
		}
	}
	if c.Member() || c.Element() || c.Value() != nil || c.Object() || c.Array() || c.Kind() != 0 {
		return nil, errors.New("the cursor continues behind its end")
	}
	return list, c.End()
}

// enterAll reads a value by entering everything in it, and returns how deep that is.
func enterAll(data []byte) (depth int, err error) {
	c := jsonscan.Read(data)
	depth = enter(&c)
	return depth, c.End()
}

func enter(c *jsonscan.Cursor) (depth int) {
	switch {
	case c.Object():
		for c.Member() {
			depth = max(depth, enter(c))
		}
		return depth + 1
	case c.Array():
		for c.Element() {
			depth = max(depth, enter(c))
		}
		return depth + 1
	}
	c.Skip()
	return 0
}

func FuzzArray(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(arraySame)
}

func arraySame(t *testing.T, data []byte) {
	t.Helper()
	var want []json.RawMessage
	ok := json.Unmarshal(data, &want) == nil && want != nil
	got, err := elements(data)
	if ok != (err == nil) || ok && len(got) != len(want) {
		t.Fatalf("%q: %q, %v; want %q", data, got, err, want)
	}
	for i := range want {
		if ok && !bytes.Equal(got[i], want[i]) {
			t.Fatalf("%q: element %d is %q, want %q", data, i, got[i], want[i])
		}
	}
}

func FuzzString(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
		f.Add([]byte(`"` + s + `"`))
	}
	f.Fuzz(stringSame)
}

func stringSame(t *testing.T, data []byte) {
	t.Helper()
	got, ok := jsonscan.String(data)
	var want string
	isString := len(data) > 1 && data[0] == '"' && data[len(data)-1] == '"'
	wantOK := isString && json.Unmarshal(data, &want) == nil
	if ok != wantOK || ok && got != want {
		t.Fatalf("%q: %q %v, want %q %v", data, got, ok, want, wantOK)
	}
	quoted := jsonscan.AppendString(nil, string(data))
	var back string
	if err := json.Unmarshal(quoted, &back); err != nil || !utf8.Valid(quoted) {
		t.Fatalf("%q quoted is %q: %v", data, quoted, err)
	}
	var same string
	if std, err := json.Marshal(string(data)); err != nil || json.Unmarshal(std, &same) != nil || same != back {
		t.Fatalf("%q came back as %q, want %q", data, back, same)
	}
	if own, ok := jsonscan.String(quoted); !ok || own != back {
		t.Fatalf("%q came back as %q, want %q", data, own, back)
	}
}

func FuzzInt(f *testing.F) {
	for _, s := range []string{"0", "-1", "1.5", "1e3", "9223372036854775807.5", "-9223372036854775808", "1e19", "12e-1", "0e9"} {
		f.Add(s)
	}
	f.Fuzz(intSame)
}

func intSame(t *testing.T, in string) {
	t.Helper()
	got, ok := jsonscan.Int([]byte(in))
	var n json.Number
	if json.Unmarshal([]byte(in), &n) != nil || n.String() != in {
		if ok {
			t.Fatalf("%q: %d", in, got)
		}
		return
	}
	want, err := strconv.ParseInt(in, 10, 64)
	if ok != (err == nil) || ok && got != want {
		t.Fatalf("%q: %d %v, want %d %v", in, got, ok, want, err)
	}
}
