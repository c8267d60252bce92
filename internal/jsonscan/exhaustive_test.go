package jsonscan_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

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
					}
				}
			}
		}
	}
}

// A long string is searched in blocks and parts. What ends it, or must not be in it, is found at each place
// of the first blocks and around the end of the first part, also if another block follows.
func TestEverySpecialByteInALongString(t *testing.T) {
	for b := range 256 {
		if b > 0x23 && b != '[' && b != '\\' && b != ']' && b < 0x7f {
			continue
		}
		c := string([]byte{byte(b)})
		for at := range 2160 {
			if at >= 300 && at < 2120 {
				continue // the same as before, only slow
			}
			for _, behind := range []int{0, 70} {
				text := `"` + strings.Repeat("x", at) + c + strings.Repeat("y", behind) + `"`
				validSame(t, []byte(text))
				validSame(t, []byte(`{"a":[`+text+`]}`))
				c := jsonscan.Read([]byte(text))
				c.Skip()
				err := c.End()
				var syntax *jsonscan.SyntaxError
				if errors.As(err, &syntax) && (b < 0x20 || b == '\\' && behind > 0) && syntax.Offset != at+1 || b == '"' && c.Offset() != at+2 {
					t.Fatalf("%q: end %d, %v", text, c.Offset(), err)
				}
			}
		}
	}
}

// White space behind a value is no part of it.
func TestSpaceAroundMembers(t *testing.T) {
	for _, value := range append(nested, "1", "true", "null", `"a"`, "-0.5e+7", "[]", "{}") {
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
	for _, s := range append([]string{`"aé\n\u00e9"`, `[true,false,null,-1.5e+7]`, `{"a":{"b":[1,2]},"c":[]}`}, seeds...) {
		for end := range len(s) + 1 {
			data := []byte(s)[:end:end]
			_, _ = members(data)
			_, _ = elements(data)
			_, _ = jsonscan.String(data)
			_, _ = jsonscan.Int(data)
			_, _ = jsonscan.Strings(data)
			_ = jsonscan.Depth(data)
			_ = jsonscan.Decode(data, jsonscan.StringField("a", new(string)), jsonscan.MapField("b", new(map[string]string)))
			validSame(t, data)
			if valid := jsonscan.Check(data, jsonscan.MaxDepth) == nil; valid != (json.Valid(data) && utf8.Valid(data)) {
				t.Fatalf("Check(%q): %v", data, jsonscan.Check(data, jsonscan.MaxDepth))
			}
			if !json.Valid([]byte(s)) || json.Valid(data) || strings.TrimSpace(s) != s {
				continue
			}
			c := jsonscan.Read(data)
			err := c.End()
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
		c := jsonscan.Read([]byte(in))
		err := c.End()
		var syntax *jsonscan.SyntaxError
		if !errors.As(err, &syntax) || err.Error() != want {
			t.Errorf("%q: %v; want %s", in, err, want)
		}
		_, entered := enterAll([]byte(in))
		if entered == nil || entered.Error() != want {
			t.Errorf("%q entered: %v; want %s", in, entered, want)
		}
	}
	for in, want := range map[string]string{
		"{} x":    "data after the JSON value at byte 3",
		`{"a":1`:  "unexpected end of JSON at byte 6",
		`{"a":1;`: "no comma or closing bracket at byte 6",
		`{"a":x}`: "no JSON value at byte 5",
		`{"a":1,`: "unexpected end of JSON at byte 7",
		"[] x":    "data after the JSON value at byte 3",
		"[1":      "unexpected end of JSON at byte 2",
		"[1;":     "no comma or closing bracket at byte 2",
		"[x]":     "no JSON value at byte 1",
		"[1,":     "unexpected end of JSON at byte 3",
	} {
		_, object := members([]byte(in))
		_, array := elements([]byte(in))
		if in[0] == '{' && object.Error() != want || in[0] == '[' && array.Error() != want {
			t.Errorf("%q: %v, %v; want %s", in, object, array, want)
		}
	}
}

// A cursor that is left inside of what it has entered reports that the data is not whole.
func TestCursorLeftInside(t *testing.T) {
	c := jsonscan.Read([]byte(`{"a":[1,2],"b":3}`))
	if !c.Object() || !c.Member() || c.Object() || !c.Array() || !c.Element() {
		t.Fatal("did not enter")
	}
	if err := c.End(); err == nil {
		t.Error("no error")
	}
}

// A value that was not read, or was asked for as another kind, is skipped.
func TestCursorSkips(t *testing.T) {
	c := jsonscan.Read([]byte(` {"a":[1,{"x":[]}],"b":"te\u0078t","\u0063":{}, "d":7}`))
	var seen []string
	if !c.Object() {
		t.Fatal("no object")
	}
	for c.Member() {
		seen = append(seen, string(c.Name()))
		switch text, ok := c.Text(); {
		case ok:
			seen = append(seen, string(text))
		case c.Kind() == '0':
			seen = append(seen, string(c.Value()))
		}
	}
	if err := c.End(); err != nil || !slices.Equal(seen, []string{"a", "b", "text", "c", "d", "7"}) {
		t.Error(seen, err)
	}
}

// The limit of levels holds for what is entered and what is read whole together.
func TestCursorDepth(t *testing.T) {
	for _, depth := range []int{63, 64, 65, 9999, 10000, 10001} {
		data := []byte(strings.Repeat("[", depth) + strings.Repeat("]", depth))
		for _, entered := range []int{0, 1, 2, 64, depth} {
			c := jsonscan.Read(data)
			open := 0
			for ; open < entered && c.Array(); open++ {
				c.Element()
			}
			for range open {
				for c.Element() {
				}
			}
			if got, want := c.End() == nil, json.Valid(data); got != want {
				t.Errorf("depth %d, %d entered: %v, want %v", depth, entered, got, want)
			}
		}
	}
}

func TestDepthLimit(t *testing.T) {
	for depth := range 70 {
		for _, pair := range []string{"[]", "{}"} {
			opening := map[string]string{"[]": "[", "{}": `{"a":`}[pair]
			in := []byte("1")
			if depth > 0 {
				in = []byte(strings.Repeat(opening, depth-1) + pair + strings.Repeat(pair[1:], depth-1))
			}
			if got := jsonscan.Depth(in); got != depth {
				t.Errorf("the depth of %s is %d, want %d", in, got, depth)
			}
			for limit := range depth + 2 {
				over := depth > limit
				if err := jsonscan.Check(in, limit); errors.Is(err, jsonscan.ErrTooDeep) != over || (err != nil) != over {
					t.Errorf("depth %d, Check with the limit %d: %v", depth, limit, err)
				}
				if err := jsonscan.CheckDepth(in, limit); errors.Is(err, jsonscan.ErrTooDeep) != over || (err != nil) != over {
					t.Errorf("depth %d, CheckDepth with the limit %d: %v", depth, limit, err)
				}
			}
		}
	}
}

// Brackets in strings and brackets side by side do not make a value deep.
func TestDepthIsNotTheNumberOfBrackets(t *testing.T) {
	for _, in := range []string{`["[[{{[[{{[[{{"]`, `[[],[],[],{},{},[]]`, `{"[[[[":"{{{{","{{{{":"[[[["}`} {
		if err := jsonscan.CheckDepth([]byte(in), 2); err != nil {
			t.Errorf("%s: %v", in, err)
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
