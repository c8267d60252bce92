package archtest

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// exampleMarker names the compiled file that a snippet of the README was taken from. It stands on the
// last line with text before the block.
var exampleMarker = regexp.MustCompile(`^<!-- example: (\S+) -->$`)

// snippet is one block of Go in a Markdown text.
type snippet struct {
	line   int
	source string // the file that the marker names, "" without a marker
	code   []string
}

// Code in a README is never compiled, so each line of it must stand in an example that is.
func TestReadmeSnippetsAreCompiled(t *testing.T) {
	repo := load(t)
	text, err := os.ReadFile(filepath.Join(repo.root, "README.md"))
	if errors.Is(err, fs.ErrNotExist) {
		return // nothing is promised yet
	}
	if err != nil {
		t.Fatal(err)
	}
	snippets := findSnippets(string(text))
	if len(snippets) == 0 {
		t.Fatal("README.md shows no Go code")
	}
	for _, s := range snippets {
		checkSnippet(t, repo.root, s)
	}
}

func checkSnippet(t *testing.T, root string, s snippet) {
	t.Helper()
	if s.source == "" {
		t.Errorf("README.md:%d: no <!-- example: path/to/example_test.go --> before the block", s.line)
		return
	}
	base := path.Base(s.source)
	named, err := path.Match("example_*_test.go", base)
	if err != nil || (!named && base != "example_test.go") || !filepath.IsLocal(s.source) {
		t.Errorf("README.md:%d: %s is not an example_test.go or example_*_test.go of this tree", s.line, s.source)
		return
	}
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(s.source)))
	if err != nil {
		t.Errorf("README.md:%d: %v", s.line, err)
		return
	}
	if !strings.Contains(string(text), "\nfunc Example") {
		t.Errorf("README.md:%d: %s has no Example function", s.line, s.source)
	}
	compiled := map[string]bool{}
	for line := range strings.SplitSeq(string(text), "\n") {
		compiled[strings.TrimSpace(line)] = true
	}
	for _, line := range s.code {
		if line != "" && !compiled[line] {
			t.Errorf("README.md:%d: not in %s: %s", s.line, s.source, line)
		}
	}
}

func findSnippets(text string) []snippet {
	var found []snippet
	var open *snippet // the Go block that the current line is in
	inOther := false  // in a block of another language
	last := ""        // the last line with text
	for number, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		switch fence := strings.HasPrefix(line, "```"); {
		case open != nil && fence:
			found = append(found, *open)
			open = nil
		case open != nil:
			open.code = append(open.code, line)
		case fence && inOther:
			inOther = false
		case fence && line == "```go":
			open = &snippet{line: number + 1}
			if marker := exampleMarker.FindStringSubmatch(last); marker != nil {
				open.source = marker[1]
			}
		case fence:
			inOther = true
		}
		if line != "" {
			last = line
		}
	}
	return found
}

func TestFindSnippets(t *testing.T) {
	text := "# T\n```sh\nmake\n```\n<!-- example: hub/example_test.go -->\n\n```go\nh := 1\n\n```\ntext\n```go\nx\n```\n"
	found := findSnippets(text)
	if len(found) != 2 {
		t.Fatalf("found %d snippets, want 2: %+v", len(found), found)
	}
	if found[0].source != "hub/example_test.go" || found[0].code[0] != "h := 1" || found[0].line != 7 {
		t.Errorf("first snippet: %+v", found[0])
	}
	if found[1].source != "" {
		t.Errorf("second snippet has a source: %+v", found[1])
	}
}
