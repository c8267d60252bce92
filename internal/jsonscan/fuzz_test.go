package jsonscan_test

import (
	"bytes"
	"encoding/json"
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

func FuzzValid(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(validSame)
}

// These compare one function each with encoding/json.
func validSame(t *testing.T, data []byte) {
	t.Helper()
	if got, want := jsonscan.Valid(data), json.Valid(data); got != want {
		t.Fatalf("%q: %v, want %v", data, got, want)
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
	// OpenValid on anything stays inside the data and ends.
	trusted := members(jsonscan.OpenValid(data))
	var want map[string]json.RawMessage
	ok := json.Unmarshal(data, &want) == nil && want != nil
	o := jsonscan.Open(data)
	got := map[string]json.RawMessage{}
	for o.Next() {
		// encoding/json makes names valid UTF-8; this package's are unchanged.
		got[strings.ToValidUTF8(string(o.Name()), "\ufffd")] = bytes.Clone(o.Value())
	}
	if ok != (o.Err() == nil) {
		t.Fatalf("%q: %v, want %v", data, o.Err(), ok)
	}
	if !ok || !utf8.Valid(data) {
		return
	}
	for _, have := range []map[string]json.RawMessage{got, trusted} {
		if len(have) != len(want) {
			t.Fatalf("%q: %q, want %q", data, have, want)
		}
		for name, value := range want {
			if !bytes.Equal(have[name], value) {
				t.Fatalf("%q: member %q is %q, want %q", data, name, have[name], value)
			}
		}
	}
}

func members(o jsonscan.Object) map[string]json.RawMessage {
	m := map[string]json.RawMessage{}
	for o.Next() {
		m[string(o.Name())] = bytes.Clone(o.Value())
	}
	return m
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
	a := jsonscan.OpenArray(data)
	var got []json.RawMessage
	for a.Next() {
		got = append(got, a.Value())
	}
	if ok != (a.Err() == nil) || ok && len(got) != len(want) {
		t.Fatalf("%q: %q, %v; want %q", data, got, a.Err(), want)
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
		if ok && in != "" {
			t.Fatalf("%q: %d", in, got)
		}
		return
	}
	want, err := strconv.ParseInt(in, 10, 64)
	if ok != (err == nil) || ok && got != want {
		t.Fatalf("%q: %d %v, want %d, %v", in, got, ok, want, err)
	}
}
