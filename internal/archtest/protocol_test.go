package archtest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The protocol page and the code name the same close codes, error codes and control frames, and the page does not describe anything
// as missing.
func TestProtocolPageAgreesWithTheCode(t *testing.T) {
	page := readText(t, "docs/architecture/protocol.md")
	if words := regexp.MustCompile(`(?i)not (yet )?(built|implemented|done)( yet)?|to be (built|done)|coming soon`).FindAllString(page, -1); words != nil {
		t.Errorf("the page contains %q: it describes only what exists", words)
	}
	section := func(from, to string) string {
		_, rest, _ := strings.Cut(page, from)
		text, _, _ := strings.Cut(rest, to)
		return text
	}
	for name, c := range map[string]struct{ page, code []string }{
		"close codes": {
			found(section("\n## 7.", "\n## 8."), `(?m)^\| ([45]\d\d\d)\b`),
			found(readText(t, "transport/closecode.go"), `CloseCode = ([45]\d\d\d)`),
		},
		"error codes": {
			found(section("\n### Errors", "\n## 4."), "(?m)^\\| `([A-Z_]+)`"),
			found(readText(t, "call/code.go"), `Code = "([A-Z_]+)"`),
		},
		"control frames": {
			found(page, `(__[a-z]+)`),
			found(readText(t, "internal/wire/type.go"), `"(__[a-z]+)"`),
		},
	} {
		if len(c.page) == 0 || !slices.Equal(c.page, c.code) {
			t.Errorf("%s: the page has %v, the code %v", name, c.page, c.code)
		}
	}
}

// Every frame type that the code knows has an example on the page, a compact line of JSON.
func TestProtocolPageHasAnExampleOfEveryFrame(t *testing.T) {
	var have []string
	for _, line := range regexp.MustCompile("(?m)^ *(\\{\"type\":.*\\})$").FindAllStringSubmatch(readText(t, "docs/architecture/protocol.md"), -1) {
		var f struct {
			Type    string          `json:"type"`
			Payload json.RawMessage `json:"payload"`
		}
		if err := json.Unmarshal([]byte(line[1]), &f); err != nil || f.Type == "" || f.Payload == nil {
			t.Errorf("no frame, error %v: %s", err, line[1])
		}
		have = append(have, f.Type)
	}
	for _, typ := range found(readText(t, "internal/wire/type.go"), `"((?:__|call\.)[a-z]+)"`) {
		if !slices.Contains(have, typ) {
			t.Errorf("the page has no example of %s", typ)
		}
	}
}

func readText(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(load(t).root, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// found returns what the group of the pattern matches, sorted, each once.
func found(text, pattern string) (out []string) {
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	slices.Sort(out)
	return slices.Compact(out)
}
