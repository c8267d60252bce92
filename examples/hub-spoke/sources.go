package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// source is a file to be counted.
type source struct {
	path string
	name string // below the directory
}

// listSources lists the .go files below dir.
func listSources(dir string) ([]source, error) {
	var files []source
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !strings.HasSuffix(path, ".go") {
			return err
		}
		name, err := filepath.Rel(dir, path)
		files = append(files, source{path, filepath.ToSlash(name)})
		return err
	})
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("there is no .go file below %s", dir)
	}
	return files, err
}

// read gives the text of the file, as it can be sent: JSON is UTF-8, so a byte that is not is
// replaced, here and not under way, so that both sides count the same.
func (s source) read() (string, error) {
	b, err := os.ReadFile(s.path)
	if err != nil {
		return "", err
	}
	if !utf8.Valid(b) {
		return string([]rune(string(b))), nil
	}
	return string(b), nil
}

// quoted gives a text as JSON, without the escapes for HTML that would make a source longer.
func quoted(text string) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(text); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
