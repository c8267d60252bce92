package archtest

import (
	"bytes"
	"go/ast"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const sampleSize = 8000

// These two name what they look for.
const (
	thisFile  = "internal/archtest/style_test.go"
	rulesFile = "internal/archtest/rules_test.go"
)

func TestEveryPackageIsDocumented(t *testing.T) {
	documented := map[string]bool{}
	for _, file := range load(t).code {
		if file.isTest() {
			continue
		}
		documented[file.dir()] = documented[file.dir()] || file.ast.Doc.Text() != ""
	}
	for dir, found := range documented {
		if !found {
			t.Errorf("%s: no file has a package comment", dir)
		}
	}
}

// A directory's name must say what is inside.
func TestDirectoryNamesSaySomething(t *testing.T) {
	refused := map[string]bool{
		"common": true, "helper": true, "helpers": true, "misc": true,
		"pkg": true, "types": true, "util": true, "utils": true,
	}
	for _, dir := range load(t).dirs {
		if refused[path.Base(dir)] {
			t.Errorf("%s: the name says nothing of what is inside", dir)
		}
	}
}

// What sleeps is either slow or wrong on a busy machine: tests wait for events or use testing/synctest,
// other code uses timers that a context can end.
func TestNothingSleeps(t *testing.T) {
	for _, file := range load(t).code {
		for _, line := range sleeps(file) {
			t.Errorf("%s:%d: time.Sleep", file.path, line)
		}
	}
}

func sleeps(file *goFile) []int { return uses(file, "time", "Sleep") }

// A bubble that is started directly may crash the race detector: internal/bubble says why.
func TestBubblesAreStartedInOnePlace(t *testing.T) {
	for _, file := range load(t).code {
		if file.dir() == "internal/bubble" {
			continue
		}
		for _, line := range bubbles(file) {
			t.Errorf("%s:%d: synctest.Test, use bubble.Test", file.path, line)
		}
	}
}

func bubbles(file *goFile) []int { return uses(file, "testing/synctest", "Test") }

// uses finds the lines that name a member of an imported package.
func uses(file *goFile, imported, member string) []int {
	var lines []int
	name := file.localName(imported)
	ast.Inspect(file.ast, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == member && isNamed(sel.X, name) {
			lines = append(lines, file.line(n))
		}
		return true
	})
	return lines
}

func isNamed(expr ast.Expr, name string) bool {
	ident, ok := expr.(*ast.Ident)
	return ok && ident.Name == name
}

// A test that passes by looks like one that passed.
func TestNothingSkips(t *testing.T) {
	for _, file := range load(t).code {
		for _, line := range skips(file) {
			t.Errorf("%s:%d: a test is skipped", file.path, line)
		}
	}
}

func skips(file *goFile) []int {
	var lines []int
	handles := testHandles(file.ast, file.localName("testing"))
	ast.Inspect(file.ast, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && isSkip(call, handles) {
			lines = append(lines, file.line(n))
		}
		return true
	})
	return lines
}

// testHandles are the names under which a file knows a *testing.T, B, F or a testing.TB. Going by
// names and not by types keeps methods of other things that are called Skip out of it.
func testHandles(file *ast.File, pkg string) map[string]bool {
	handles := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		field, ok := n.(*ast.Field)
		if !ok {
			return true
		}
		expr := field.Type
		if star, ok := expr.(*ast.StarExpr); ok {
			expr = star.X
		}
		sel, ok := expr.(*ast.SelectorExpr)
		if !ok || !isNamed(sel.X, pkg) || !slices.Contains([]string{"T", "B", "F", "TB"}, sel.Sel.Name) {
			return true
		}
		for _, name := range field.Names {
			handles[name.Name] = true
		}
		return true
	})
	return handles
}

func isSkip(call *ast.CallExpr, handles map[string]bool) bool {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || !slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, sel.Sel.Name) {
		return false
	}
	switch on := sel.X.(type) {
	case *ast.Ident:
		return handles[on.Name]
	case *ast.SelectorExpr:
		return handles[on.Sel.Name]
	}
	return false
}

// machinePath finds absolute paths of somebody's machine: they work nowhere else and tell who wrote them.
var machinePath = regexp.MustCompile("(^|[\\s\"'`=(,:;<>\\[])/(home|root|Users)/")

func TestNoPathsOfAMachine(t *testing.T) {
	repo := load(t)
	for _, name := range repo.files {
		if name == thisFile || name == rulesFile {
			continue
		}
		text, err := os.ReadFile(filepath.Join(repo.root, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.IndexByte(text[:min(len(text), sampleSize)], 0) >= 0 {
			continue // not a text
		}
		for number, line := range strings.Split(string(text), "\n") {
			if machinePath.MatchString(line) {
				t.Errorf("%s:%d: a path of one machine: %s", name, number+1, strings.TrimSpace(line))
			}
		}
	}
}
