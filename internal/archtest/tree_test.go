package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const modulePath = "github.com/alkdev/hubspoke"

// goFile is one parsed file of the repository, whatever its build tags say.
type goFile struct {
	path string // from the root, with forward slashes
	ast  *ast.File
	fset *token.FileSet
	// nested is true for files of another module inside the repository, like bench.
	nested bool
}

func (f *goFile) dir() string { return path.Dir(f.path) }

func (f *goFile) isTest() bool { return strings.HasSuffix(f.path, "_test.go") }

func (f *goFile) imports() []string {
	paths := make([]string, 0, len(f.ast.Imports))
	for _, spec := range f.ast.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue // the parser has refused such a file already
		}
		paths = append(paths, p)
	}
	return paths
}

func (f *goFile) line(n ast.Node) int { return f.fset.Position(n.Pos()).Line }

// localName is the name under which the file knows an imported package, or "".
func (f *goFile) localName(importPath string) string {
	for _, spec := range f.ast.Imports {
		if p, _ := strconv.Unquote(spec.Path.Value); p != importPath {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path.Base(importPath)
	}
	return ""
}

// repository is what every rule looks at, read once.
type repository struct {
	root  string
	dirs  []string
	files []string // every file
	code  []*goFile
}

var (
	readOnce sync.Once
	readRepo *repository
	readErr  error
)

func load(t *testing.T) *repository {
	t.Helper()
	readOnce.Do(func() { readRepo, readErr = read(filepath.Join("..", "..")) })
	if readErr != nil {
		t.Fatal(readErr)
	}
	return readRepo
}

// ignoredDirs hold nothing that we wrote.
var ignoredDirs = map[string]bool{".git": true, "bin": true, "build": true, "node_modules": true}

func read(root string) (*repository, error) {
	repo := &repository{root: root}
	var modules []string // directories with a go.mod of their own
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil || rel == "." {
			return err
		}
		rel = filepath.ToSlash(rel)
		switch {
		case entry.IsDir() && ignoredDirs[entry.Name()]:
			return filepath.SkipDir
		case entry.IsDir():
			repo.dirs = append(repo.dirs, rel)
			return nil
		case !entry.Type().IsRegular():
			return nil
		}
		repo.files = append(repo.files, rel)
		if entry.Name() == "go.mod" && rel != "go.mod" {
			modules = append(modules, path.Dir(rel))
		}
		if !strings.HasSuffix(rel, ".go") || strings.Contains("/"+rel, "/testdata/") {
			return nil
		}
		file, err := parse(name, rel)
		if err != nil {
			return err
		}
		repo.code = append(repo.code, file)
		return nil
	})
	for _, file := range repo.code {
		for _, dir := range modules {
			file.nested = file.nested || strings.HasPrefix(file.path, dir+"/")
		}
	}
	return repo, err
}

func parse(name, rel string) (*goFile, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return parseText(rel, string(text))
}

func parseText(rel, text string) (*goFile, error) {
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, rel, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	return &goFile{path: rel, ast: tree, fset: fset}, nil
}
