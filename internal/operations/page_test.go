//go:build operations

package operations

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// page is docs/operations.md: its blocks by name, and which of them tests have asked for.
var page struct {
	blocks map[string]string
	mu     sync.Mutex // guards the field below
	used   map[string]bool
}

const pagePath = "../../docs/operations.md"

var (
	// named is a block with the comment that names it.
	named = regexp.MustCompile("(?m)^<!-- run: (\\S+) -->\n```[a-z]+\n((?:[^`].*\n|\n)*)```$")
	fence = regexp.MustCompile("(?m)^```[a-z]+$")
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	// Debian keeps nginx where only root looks.
	if err := os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for _, program := range []string{"nginx", "redis-server", "redis-sentinel"} {
		if _, err := exec.LookPath(program); err != nil {
			fmt.Fprintf(os.Stderr, "%s is not on the PATH: apt-get install nginx-light redis-sentinel redis-server\n", program)
			return 1
		}
	}
	text, err := os.ReadFile(pagePath)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	page.blocks, page.used = make(map[string]string), make(map[string]bool)
	for _, m := range named.FindAllStringSubmatch(string(text), -1) {
		page.blocks[m[1]] = m[2]
	}
	if n := len(fence.FindAllString(string(text), -1)); n != len(page.blocks) {
		fmt.Fprintf(os.Stderr, "%s has %d blocks, %d with a name of their own: put <!-- run: name --> before each\n", pagePath, n, len(page.blocks))
		return 1
	}
	code := m.Run()
	if code == 0 && flag.Lookup("test.run").Value.String() == "" {
		for _, name := range slices.Sorted(maps.Keys(page.blocks)) {
			if !page.used[name] {
				fmt.Fprintf(os.Stderr, "no test runs the block %s of %s\n", name, pagePath)
				code = 1
			}
		}
	}
	return code
}

// block is a block of the page.
func block(t testing.TB, name string) string {
	t.Helper()
	text, ok := page.blocks[name]
	if !ok {
		t.Fatalf("%s has no block %q", pagePath, name)
	}
	page.mu.Lock()
	defer page.mu.Unlock()
	page.used[name] = true
	return text
}

// changed replaces what a test has to: addresses, paths, times. Each old text must be in the block.
func changed(t testing.TB, text string, oldnew ...string) string {
	t.Helper()
	for i := 0; i < len(oldnew); i += 2 {
		if !strings.Contains(text, oldnew[i]) {
			t.Fatalf("the block does not have %q:\n%s", oldnew[i], text)
		}
		text = strings.ReplaceAll(text, oldnew[i], oldnew[i+1])
	}
	return text
}

// directives are the lines of a configuration, without comments, split into words. A word may be quoted.
func directives(text string) [][]string {
	var out [][]string
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0][0] == '#' {
			continue
		}
		for i, w := range words {
			words[i] = strings.Trim(w, `"`)
		}
		out = append(out, words)
	}
	return out
}

// arguments are directives as redis-server takes them on its command line.
func arguments(text string) []string {
	var out []string
	for _, d := range directives(text) {
		out = append(out, "--"+d[0])
		out = append(out, d[1:]...)
	}
	return out
}

// write puts a file into a directory of the test's own and returns its path.
func write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
