package main

import (
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// mutantsOf returns what each mutant makes of the body of a function, in one line.
func mutantsOf(t *testing.T, header, body string) []string {
	t.Helper()
	before := "package p\n\n" + header + " {\n"
	text := before + body + "\n}\n"
	s := &source{dir: "p", name: "p/p.go", text: []byte(text), fset: token.NewFileSet()}
	var err error
	if s.tree, err = parser.ParseFile(s.fset, "p.go", text, parser.SkipObjectResolution); err != nil {
		t.Fatal(err)
	}
	s.constants = constants{own: map[string]string{"red": "green"}, imported: map[string]map[string]string{"call": {"A": "B"}}}
	var list []string
	for _, m := range s.mutants() {
		changed := string(m.apply(s.text))
		changed = strings.TrimSuffix(strings.TrimPrefix(changed, before), "\n}\n")
		list = append(list, strings.Join(strings.Fields(changed), " "))
	}
	return list
}

func TestChanges(t *testing.T) {
	for _, c := range []struct {
		name, header, body string
		want               []string
	}{
		{"call", "func f()", "g()", []string{""}},
		{"call that needs its variable", "func f()", "x := h()\ng(x.y, x)", []string{"x := h() _ = x"}},
		{"inner variables are not used up", "func f()", "x := h()\ngo func() { y := x; g(y) }()",
			[]string{"x := h() _ = x", "x := h() go func() { y := x; _ = y }()"}},
		{"nothing changes", "func f()", "x := h()\n_ = x", nil},
		{"boundary", "func f()", "for x < y {\n}", []string{"", "for x <= y { }"}},
		{"boundary, other way", "func f()", "for x >= y {\n}", []string{"", "for x > y { }"}},
		{"if", "func f()", "if x {\n}", []string{"", "if !(x) { }"}},
		{"if else", "func f()", "if x {\n} else {\n}", []string{"if !(x) { } else { }"}},
		{"if not", "func f()", "if !x {\n}", []string{"", "if x { }"}},
		{"if equal", "func f()", "if x == y {\n}", []string{"", "if x != y { }"}},
		{"and", "func f()", "for x && y {\n}", []string{"", "for x || y { }"}},
		{"switch", "func f()", "switch {\ncase x:\n}", []string{"switch { case !(x): }"}},
		{"number", "func f()", "x := 7", []string{"x := 8", "x := 6"}},
		{"zero", "func f()", "x := 0", []string{"x := 1"}},
		{"hexadecimal", "func f()", "x := 0x7f", []string{"x := 128", "x := 126"}},
		{"constant", "func f()", "const x = 7", []string{"const x = 8"}},
		{"sum", "func f()", "x = y + z", []string{"", "x = y - z"}},
		{"texts are not subtracted", "func f()", `x = y + "z"`, []string{""}},
		{"increment", "func f()", "x++", []string{"", "x--"}},
		{"truth", "func f() bool", "return true", []string{"return false"}},
		{"result that is a condition", "func f() bool", "return x", []string{"return !(x)"}},
		{"error", "func f() error", "return err", []string{"return nil"}},
		{"several results", "func f() (n int, err error)", "return x, err", []string{"return 0, err", "return x, nil"}},
		{"number beside false", "func f() (int, bool)", "return 1, false", []string{"return 1, true"}},
		{"number beside an error", "func f() (int, error)", "return 1, err", []string{"return 1, nil"}},
		{"number beside true", "func f() (int, bool)", "return 1, true", []string{"return 2, true", "return 0, true", "return 1, false"}},
		{"result of a closure", "func f() error", "g(func() string { return x })",
			[]string{"", `g(func() string { return "" })`}},
		{"early return", "func f()", "if x == y {\nreturn\n}", []string{"", "if x == y { }", "if x != y { return }"}},
		{"group", "func f()", "x := red", []string{"x := green"}},
		{"imported group", "func f()", "x := call.A", []string{"x := call.B"}},
		{"field of the same name", "func f()", "x := y.red", nil},
		{"log line", "func f()", `l.log.Warn().Int("n", 1).Msg("x")`, nil},
		{"field of a log line", "func f()", `ev.Str("to", x)`, nil},
		{"send that is no log line", "func f()", "x.Send()", []string{""}},
		{"panic", "func f()", "panic(1 + x)", nil},
		{"text of an error", "func f() error", `x = fmt.Errorf("x %d", 1)`, []string{""}},
		{"capacity", "func f()", "x := make([]int, 0, 7)", nil},
		{"pool", "func f()", "bufferPool.Put(x)", nil},
		{"buffer of a pool", "func f()", "putBuffer(x)\ndefer putBuffer(y)", nil},
		{"deferred call", "func f()", "defer g(x)", []string{""}},
		{"size of an array", "func f()", "var x [7]int", nil},
		{"method for people", "func (x X) String() string", "return x.name", nil},
		{"function of that name", "func String() string", "return x.name", []string{`return ""`}},
	} {
		got := mutantsOf(t, c.header, c.body)
		slices.Sort(got)
		slices.Sort(c.want)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s:\ngot  %q\nwant %q", c.name, got, c.want)
		}
	}
}

func TestDescribe(t *testing.T) {
	text := "package p\n\nfunc f() {\n\tif x <  y {\n\t}\n}\n"
	at := strings.Index(text, "<")
	m := mutant{file: "p/p.go", line: 4, start: at, end: at + 1, text: "<=", kind: "swap operator"}
	want := "p/p.go:4: swap operator\n\t- if x < y {\n\t+ if x <= y {"
	if got := m.describe([]byte(text)); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
