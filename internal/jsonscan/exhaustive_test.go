package jsonscan_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/alkdev/hubspoke/internal/jsonscan"
)

// eachText calls fn with every text of at most longest symbols.
func eachText(symbols []string, longest int, fn func(string)) {
	texts := []string{""}
	for range longest + 1 {
		var longer []string
		for _, text := range texts {
			fn(text)
			for _, symbol := range symbols {
				longer = append(longer, text+symbol)
			}
		}
		texts = longer
	}
}

func TestEveryShortText(t *testing.T) {
	structure := strings.Split(`[ ] { } "a" " : , 1`, " ")
	eachText(structure, 6, func(text string) { validSame(t, []byte(text)) })
	eachText(append(structure, " "), 4, func(text string) {
		objectSame(t, []byte(text))
		arraySame(t, []byte(text))
		objectSame(t, []byte(`{"b":`+text+`}`))
		arraySame(t, []byte(`[`+text+`]`))
	})
	eachText(strings.Split(`\ " u 00e9 d83d dE00 d8 G n /`, " "), 4, func(text string) {
		stringSame(t, []byte(text))
		stringSame(t, []byte(`"`+text+`"`))
		validSame(t, []byte(`["`+text+`"]`))
	})
	eachText(strings.Split("- + . e E 0 1 9 25", " "), 5, func(text string) {
		intSame(t, text)
		validSame(t, []byte(text))
		validSame(t, []byte(`[`+text+`]`))
	})
	eachText(strings.Split("t r u e f a l s n E \xff", " "), 4, func(text string) {
		validSame(t, []byte(text))
		validSame(t, []byte("["+text+"e]"))
		word, isBool := jsonscan.Bool([]byte(text))
		if want := text == "true"; word != want || isBool != (want || text == "false") {
			t.Fatalf("%q: %v %v", text, word, isBool)
		}
	})
}

// White space and the letters of numbers are four bytes and two, which no other byte may pass for.
func TestEveryByteBesideAValue(t *testing.T) {
	for b := range 256 {
		c := string([]byte{byte(b)})
		for _, text := range []string{c + "1", "1" + c, "1" + c + "5", "1." + c, "1e" + c + "5", "[" + c + "1]", "[1" + c + "]", `{"a"` + c + `:1}`} {
			validSame(t, []byte(text))
			intSame(t, text)
		}
	}
}

// Scanning words of eight bytes must not depend on where in a word something is.
func TestEveryByteAtEveryPlace(t *testing.T) {
	for b := range 256 {
		for _, escaped := range []string{"", `\`, `\\`, `\\\`, `\u00e`} {
			for at := range 90 {
				if at > 40 && b > 0x22 && b != '\\' && b != 0x7f && b != 0xff {
					continue // the same as before, only slow
				}
				inner := strings.Repeat("x", at) + escaped + string([]byte{byte(b)})
				for _, behind := range []string{"", "y", strings.Repeat("z", 9)} {
					text := []byte(`"` + inner + behind + `"`)
					validSame(t, text)
					if at < 20 {
						stringSame(t, text)
						skimSame(t, text)
					}
				}
			}
		}
	}
}

// A long string is scanned by larger blocks than a short one. What ends it, or must not be in it, is found
// at each place of the first blocks, also if another block follows.
func TestEverySpecialByteInALongString(t *testing.T) {
	for b := range 256 {
		if b > 0x23 && b != '[' && b != '\\' && b != ']' && b < 0x7f {
			continue
		}
		c := string([]byte{byte(b)})
		for at := range 300 {
			for _, behind := range []int{0, 70} {
				text := `"` + strings.Repeat("x", at) + c + strings.Repeat("y", behind) + `"`
				validSame(t, []byte(text))
				validSame(t, []byte(`{"a":[`+text+`]}`))
				end, err := jsonscan.Value([]byte(text), 0)
				switch {
				case b == '"' && (err != nil || end != at+2),
					(b < 0x20 || b == '\\' && behind > 0) && (err == nil || end != at+1):
					t.Fatalf("%q: end %d, %v", text, end, err)
				}
			}
		}
	}
}

// Brackets count outside of strings alone, whatever else is in the strings and wherever they begin and end.
func TestEveryByteBesideABracket(t *testing.T) {
	for b := 0x20; b < 256; b++ {
		if b == '"' || b == '\\' {
			continue
		}
		c := string([]byte{byte(b)})
		for at := range 17 {
			text := `[["` + strings.Repeat("x", at) + c + `"],["]` + c + `[[[","` + c + `]","",[[{"` + c + `":"}` + c + `"}]]]]`
			skimSame(t, []byte(text))
			for limit, over := range []bool{true, true, true, true, true, false, false} {
				if jsonscan.Deeper([]byte(text), limit) != over {
					t.Fatalf("Deeper(%q, %d) is %v", text, limit, !over)
				}
			}
		}
	}
}

// White space behind a value is no part of it.
func TestSpaceAroundMembers(t *testing.T) {
	for _, value := range append(skims, "1", "true", "null", `"a"`, "-0.5e+7", "[]", "{}") {
		for _, space := range strings.Split(" |\t|\n|\r|\r\n \t", "|") {
			objectSame(t, []byte(`{"a"`+space+`:`+space+value+space+`,`+space+`"b":`+value+space+`}`+space))
			arraySame(t, []byte(`[`+space+value+space+`,`+value+space+`]`+space))
		}
	}
}

func TestAppendStringEscapesWhatJSONDemands(t *testing.T) {
	for c := range rune(0x80) {
		var want strings.Builder
		encoder := json.NewEncoder(&want)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode("a" + string(c)); err != nil {
			t.Fatal(err)
		}
		if got := string(jsonscan.AppendString(nil, "a"+string(c))); got+"\n" != want.String() {
			t.Errorf("%q: %s, want %s", c, got, want.String())
		}
	}
}

// A text that ends too early is an error at its end, and nothing reads behind it.
func TestEveryPrefix(t *testing.T) {
	for _, s := range append(append([]string{`"aé\n\u00e9"`, `[true,false,null,-1.5e+7]`, `{"a":{"b":[1,2]},"c":[]}`}, skims...), seeds...) {
		for end := range len(s) + 1 {
			data := []byte(s)[:end:end]
			_, _ = list(jsonscan.OpenValid(data))
			_, _ = list(jsonscan.Open(data))
			a := jsonscan.OpenArray(data)
			for a.Next() {
			}
			_, _ = jsonscan.String(data)
			_, _ = jsonscan.Int(data)
			validSame(t, data)
			if !json.Valid([]byte(s)) || json.Valid(data) || strings.TrimSpace(s) != s {
				continue
			}
			_, err := jsonscan.Value(data, 0)
			if strings.HasSuffix(err.Error(), fmt.Sprintf(" at byte %d", end)) || strings.Contains(err.Error(), "literal") ||
				strings.Contains(err.Error(), "escape") {
				continue // the last two are at the beginning of what is cut
			}
			t.Errorf("%q: %v", data, err)
		}
	}
}

func TestSyntaxErrors(t *testing.T) {
	for in, want := range map[string]string{
		"":              "unexpected end of JSON at byte 0",
		"  ":            "unexpected end of JSON at byte 2",
		"[":             "unexpected end of JSON at byte 1",
		"{ ":            "unexpected end of JSON at byte 2",
		`{"a"`:          "unexpected end of JSON at byte 4",
		`{"a":`:         "unexpected end of JSON at byte 5",
		`"abc`:          "unexpected end of JSON at byte 4",
		`"a\n`:          "unexpected end of JSON at byte 4",
		`"\u00e9`:       "unexpected end of JSON at byte 7",
		`"ab\`:          "invalid escape in string at byte 3",
		`"\u00e`:        "invalid escape in string at byte 1",
		"x":             "no JSON value at byte 0",
		"[1,]":          "no JSON value at byte 3",
		"[nul]":         "invalid literal at byte 1",
		"[01]":          "invalid number at byte 1",
		"[1.]":          "invalid number at byte 3",
		"[1e]":          "invalid number at byte 3",
		"[\"a\x1f\"]":   "control character in string at byte 3",
		`["ab\x"]`:      "invalid escape in string at byte 4",
		`["\u12g4"]`:    "invalid escape in string at byte 2",
		`{1:2}`:         "no member name at byte 1",
		`{"a":1,}`:      "no member name at byte 7",
		`{"a" 1}`:       "no colon after member name at byte 5",
		`[1 2]`:         "no comma or closing bracket at byte 3",
		`{"a":1]`:       "no comma or closing bracket at byte 6",
		`{"a":1 "b":2}`: "no comma or closing bracket at byte 7",
	} {
		end, err := jsonscan.Value([]byte(in), 0)
		var syntax *jsonscan.SyntaxError
		if !errors.As(err, &syntax) || err.Error() != want || syntax.Offset != end {
			t.Errorf("%q: %v, end %d; want %s", in, err, end, want)
		}
	}
	for in, want := range map[string]string{
		"":        "not a JSON object at byte 0",
		" []":     "not a JSON object at byte 1",
		"{} x":    "data after the JSON value at byte 3",
		`{"a":1`:  "unexpected end of JSON at byte 6",
		`{"a":1;`: "no comma or closing bracket at byte 6",
		`{"a":x}`: "no JSON value at byte 5",
		`{"a":1,`: "unexpected end of JSON at byte 7",
	} {
		o := jsonscan.Open([]byte(in))
		for o.Next() {
		}
		if o.Next() || o.Err() == nil || o.Err().Error() != want || o.Name() != nil || o.Value() != nil {
			t.Errorf("%q: %v, want %s", in, o.Err(), want)
		}
		trusted := jsonscan.OpenValid([]byte(in))
		for trusted.Next() {
		}
		if trusted.Next() || trusted.Name() != nil || trusted.Value() != nil {
			t.Errorf("%q: OpenValid continues behind its end", in)
		}
	}
	for in, want := range map[string]string{
		"":     "not a JSON array at byte 0",
		" {}":  "not a JSON array at byte 1",
		"[] x": "data after the JSON value at byte 3",
		"[1":   "unexpected end of JSON at byte 2",
		"[1;":  "no comma or closing bracket at byte 2",
		"[x]":  "no JSON value at byte 1",
		"[1,":  "unexpected end of JSON at byte 3",
	} {
		a := jsonscan.OpenArray([]byte(in))
		for a.Next() {
		}
		if a.Next() || a.Err() == nil || a.Err().Error() != want || a.Value() != nil {
			t.Errorf("%q: %v, want %s", in, a.Err(), want)
		}
	}
}

// Behind its end a cursor has nothing, and it stays there.
func TestCursorsStayAtTheirEnd(t *testing.T) {
	for _, in := range []string{"[]", "[1]", "[1,2]", "[x]", "[] x", "[1,", "{}"} {
		a := jsonscan.OpenArray([]byte(in))
		for a.Next() {
			if a.Value() == nil {
				t.Errorf("%q: an element without a value", in)
			}
		}
		err := a.Err()
		if a.Value() != nil || a.Next() || a.Value() != nil || !errors.Is(a.Err(), err) {
			t.Errorf("%q: the array continues behind its end: %v, %v", in, err, a.Err())
		}
	}
	for _, in := range []string{"{}", `{"a":1}`, `{"a":1,"b":2}`, `{"a":x}`, `{} x`, `{"a":1,`, "[]"} {
		for _, o := range []jsonscan.Object{jsonscan.Open([]byte(in)), jsonscan.OpenValid([]byte(in))} {
			for o.Next() {
				if o.Name() == nil || o.Value() == nil {
					t.Errorf("%q: a member without a name or value", in)
				}
			}
			err := o.Err()
			if o.Value() != nil || o.Next() || o.Value() != nil || o.Name() != nil || !errors.Is(o.Err(), err) {
				t.Errorf("%q: the object continues behind its end: %v, %v", in, err, o.Err())
			}
		}
	}
}

func TestWithin(t *testing.T) {
	for depth := range 70 {
		for _, pair := range []string{"[]", "{}"} {
			opening := map[string]string{"[]": "[", "{}": `{"a":`}[pair]
			in := []byte("1")
			if depth > 0 {
				in = []byte(strings.Repeat(opening, depth-1) + pair + strings.Repeat(pair[1:], depth-1))
			}
			if end, err := jsonscan.Within(in, 0, depth); err != nil || end != len(in) {
				t.Errorf("depth %d within %d: %v", depth, depth, err)
			}
			if _, err := jsonscan.Within(in, 0, depth-1); (err == nil) != (depth == 0) {
				t.Errorf("depth %d within %d: %v", depth, depth-1, err)
			}
		}
	}
}

func TestDecodeTakes64Fields(t *testing.T) {
	var fields []jsonscan.Field
	var last int64
	for i := range 64 {
		fields = append(fields, jsonscan.IntField(fmt.Sprint("m", i), &last))
	}
	if err := jsonscan.Decode([]byte(`{"m63":7}`), fields...); err != nil || last != 7 {
		t.Error(last, err)
	}
	if err := jsonscan.Decode([]byte(`{"m63":7,"m62":1,"m63":8}`), fields...); err == nil {
		t.Error("a member was taken twice")
	}
	if err := jsonscan.Decode([]byte(`{}`), append(fields, jsonscan.IntField("more", &last))...); err == nil {
		t.Error("65 fields were taken")
	}
}
