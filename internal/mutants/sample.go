package main

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// module is the code that mutants are made of.
type module struct {
	root  string // of the file system
	path  string // of imports
	texts map[string][]byte
}

func openModule(root string) (*module, error) {
	text, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return nil, fmt.Errorf("start it in the root of the module: %w", err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	return &module{root: root, path: strings.TrimSpace(strings.TrimPrefix(first, "module ")), texts: map[string][]byte{}}, nil
}

// parse reads the files of a package that this system builds, without tests.
func (m *module) parse(dir string) ([]*source, error) {
	entries, err := os.ReadDir(filepath.Join(m.root, filepath.FromSlash(dir)))
	if err != nil {
		return nil, err
	}
	var list []*source
	for _, entry := range entries {
		name := entry.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		full := filepath.Join(m.root, filepath.FromSlash(dir), name)
		if match, err := build.Default.MatchFile(filepath.Dir(full), name); err != nil || !match {
			continue
		}
		text, err := os.ReadFile(full)
		if err != nil {
			return nil, err
		}
		s := &source{dir: dir, name: path.Join(dir, name), text: text, fset: token.NewFileSet()}
		if s.tree, err = parser.ParseFile(s.fset, full, text, parser.SkipObjectResolution); err != nil {
			return nil, err
		}
		m.texts[s.name] = text
		list = append(list, s)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s: no Go files", dir)
	}
	return list, nil
}

// all returns every mutant of the packages.
func (m *module) all(dirs []string) ([]mutant, error) {
	var found []mutant
	groupsOf := map[string]map[string]string{}
	for _, dir := range dirs {
		list, err := m.parse(dir)
		if err != nil {
			return nil, err
		}
		own := map[string]string{}
		for _, s := range list {
			groups(s.tree, own)
		}
		for _, s := range list {
			s.constants = constants{own: own, imported: map[string]map[string]string{}}
			if err := m.imports(s, groupsOf); err != nil {
				return nil, err
			}
			found = append(found, s.mutants()...)
		}
	}
	return found, nil
}

// imports finds the groups of constants of the packages of this module that a file imports.
func (m *module) imports(s *source, known map[string]map[string]string) error {
	for _, spec := range s.tree.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return err
		}
		dir, own := strings.CutPrefix(imported, m.path+"/")
		if !own {
			continue
		}
		if known[dir] == nil {
			list, err := m.parse(dir)
			if err != nil {
				return err
			}
			next := map[string]string{}
			for _, other := range list {
				groups(other.tree, next)
			}
			maps.DeleteFunc(next, func(name, other string) bool { return !ast.IsExported(name) || !ast.IsExported(other) })
			known[dir] = next
		}
		name := path.Base(dir)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		s.constants.imported[name] = known[dir]
	}
	return nil
}

// sample brings the mutants into the order in which they are tried, which the seed decides, and keeps one of each
// line of code.
func sample(all []mutant, seed uint64) []mutant {
	list := slices.Clone(all)
	random := rand.New(rand.NewPCG(seed, seed))
	random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	seen := map[string]bool{}
	return slices.DeleteFunc(list, func(m mutant) bool {
		line := m.file + ":" + strconv.Itoa(m.line)
		known := seen[line]
		seen[line] = true
		return known
	})
}
