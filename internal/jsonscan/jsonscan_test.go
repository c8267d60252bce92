package jsonscan_test

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/alkdev/hubspoke/internal/jsonscan"
)

func TestDepth(t *testing.T) {
	for _, depth := range []int{1, 63, 64, 65, 128, 9999, 10000, 10001, 20000} {
		for _, in := range []string{
			strings.Repeat("[", depth) + strings.Repeat("]", depth),
			strings.Repeat(`{"a":`, depth-1) + "{}" + strings.Repeat("}", depth-1),
			strings.Repeat(`[{"a":`, depth/2) + strings.Repeat("[", depth%2) + "1" + strings.Repeat("]", depth%2) + strings.Repeat("}]", depth/2),
		} {
			if err := jsonscan.Check([]byte(in), jsonscan.MaxDepth); (err == nil) != json.Valid([]byte(in)) {
				t.Errorf("depth %d: %v", depth, err)
			}
		}
		wrapped := []byte(`{"a":` + strings.Repeat("[", depth-1) + strings.Repeat("]", depth-1) + `}`)
		if depth == 1 {
			continue
		}
		if _, err := members(wrapped); (err == nil) != json.Valid(wrapped) {
			t.Errorf("object of depth %d: %v", depth, err)
		}
	}
}

func TestNoAllocations(t *testing.T) {
	data := []byte(envelope)
	if n := testing.AllocsPerRun(100, func() {
		c := jsonscan.Read(data)
		c.Object()
		for c.Member() {
			if string(c.Name()) == "credit" {
				_, _ = jsonscan.Int(c.Value())
			}
			_, _ = c.Text()
		}
		if c.End() != nil || jsonscan.Check(data, jsonscan.MaxDepth) != nil {
			t.Error("not valid")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestInt(t *testing.T) {
	for in, want := range map[string]int64{
		"0": 0, "-0": 0, "7": 7, "-12": -12, "9223372036854775807": math.MaxInt64, "-9223372036854775808": math.MinInt64,
	} {
		if got, ok := jsonscan.Int([]byte(in)); !ok || got != want {
			t.Errorf("%s: %d, %v; want %d", in, got, ok, want)
		}
	}
	for _, in := range []string{
		"", "-", "01", "1 ", " 1", "+1", "1.", ".5", "1e", "null", `"1"`, "9223372036854775808", "-9223372036854775809", "1e19", "1e400",
		"99999999999999999999", "1e99999999999999999999", "1.0", "1e3", "-0.0", "1.5", "-1.9", "5e-1", "1.2345E2", "9007199254740992.0", "1e16",
	} {
		if got, ok := jsonscan.Int([]byte(in)); ok {
			t.Errorf("%s: %d", in, got)
		}
	}
}

func TestKind(t *testing.T) {
	for in, want := range map[string]byte{
		"{}": '{', "[]": '[', `""`: '"', "-1": '0', "9": '0', "true": 't', "false": 'f', "null": 'n', "": 0, "x": 0, " 1": 0,
	} {
		if got := jsonscan.Kind([]byte(in)); got != want {
			t.Errorf("%s: %q", in, got)
		}
	}
	if v, ok := jsonscan.Bool([]byte("true")); !v || !ok {
		t.Error("true")
	}
	if v, ok := jsonscan.Bool([]byte("false")); v || !ok {
		t.Error("false")
	}
	if _, ok := jsonscan.Bool([]byte("1")); ok {
		t.Error("1")
	}
}

func TestMembers(t *testing.T) {
	for in, want := range map[string]string{
		`{"a":1, "b" : [2] ,"c":{"d":null},"a":""}`: `a=1 b=[2] c={"d":null} a="" `, `{}`: "", `[1]`: "", `7`: "", `null`: "", `"a"`: "", ``: "",
	} {
		var all, first string
		for name, value := range jsonscan.Members([]byte(in)) {
			all += string(name) + "=" + string(value) + " "
		}
		for name, value := range jsonscan.Members([]byte(in)) {
			first += string(name) + "=" + string(value) + " "
			break
		}
		if end := strings.IndexByte(want, ' ') + 1; all != want || first != want[:end] {
			t.Errorf("%s: %s and first %s", in, all, first)
		}
	}
}

func TestDecode(t *testing.T) {
	var (
		s, absent = "", "default"
		n         int64
		b         bool
		raw, obj  []byte
		list      []string
		labels    map[string]string
	)
	fields := []jsonscan.Field{
		jsonscan.StringField("s", &s), jsonscan.StringField("absent", &absent), jsonscan.IntField("n", &n), jsonscan.BoolField("b", &b),
		jsonscan.RawField("raw", &raw), jsonscan.ObjectField("obj", &obj), jsonscan.StringsField("list", &list), jsonscan.MapField("labels", &labels),
	}
	in := `{"s":"x","S":1,"absent":null,"n":2,"b":true,"raw":[1],"obj":{},"list":["a","b"],"labels":{"k":"v"},"?":1,"?":2}`
	if err := jsonscan.Decode([]byte(in), fields...); err != nil {
		t.Fatal(err)
	}
	if s != "x" || absent != "default" || n != 2 || !b || string(raw) != "[1]" || string(obj) != "{}" ||
		!slices.Equal(list, []string{"a", "b"}) || labels["k"] != "v" {
		t.Error(s, absent, n, b, raw, obj, list, labels)
	}
	if err := jsonscan.Decode([]byte(`{"list":[],"labels":{}}`), fields...); err != nil || list == nil || len(list) != 0 || labels == nil || len(labels) != 0 {
		t.Errorf("an empty array and an empty object are %#v and %#v, %v", list, labels, err)
	}
	for in, member := range map[string]string{
		`{"s":1}`: `"s"`, `{"s":"a","s":"b"}`: `"s"`, `{"absent":null,"absent":null}`: `"absent"`, `{"n":"1"}`: `"n"`, `{"n":1e99}`: `"n"`, `{"n":2.5}`: `"n"`,
		`{"b":0}`: `"b"`, `{"list":{}}`: `"list"`, `{"list":[1]}`: `"list"`, `{"labels":{"k":1}}`: `"k"`, `{"labels":{"k":"","k":""}}`: `"k"`,
		`{"labels":[]}`: `"labels"`, `[]`: "object", `{"s":"a"`: "end", `{} {}`: "after", `{"obj":[]}`: `"obj"`,
	} {
		if err := jsonscan.Decode([]byte(in), fields...); err == nil || !strings.Contains(err.Error(), member) {
			t.Errorf("%s: %v does not say %s", in, err, member)
		}
	}
}
