package callcore

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/alkdev/hubspoke/internal/wire"
)

// ValidName reports whether name can be the name of an operation.
func ValidName(name string) bool {
	if len(name) > wire.MaxNameBytes || !strings.Contains(name, ".") {
		return false
	}
	for _, r := range name {
		if r <= ' ' || r >= 0x7f && (unicode.IsSpace(r) || unicode.IsControl(r) || r == '\uFFFD') {
			return false
		}
	}
	return name[0] != '.' && name[len(name)-1] != '.' && !strings.Contains(name, "..")
}

// CheckIdentity returns why an identity cannot be sent: its id has control characters, or some text in it is not UTF-8,
// and would be changed on its way.
func CheckIdentity(id string, scopes []string, resources map[string][]string) error {
	if !utf8.ValidString(id) || strings.ContainsFunc(id, unicode.IsControl) {
		return fmt.Errorf("the identity's id %q is not UTF-8 without control characters", id)
	}
	for _, s := range scopes {
		if !utf8.ValidString(s) {
			return fmt.Errorf("the scope %q of the identity %q is not UTF-8", s, id)
		}
	}
	for name, actions := range resources {
		for _, s := range append([]string{name}, actions...) {
			if !utf8.ValidString(s) {
				return fmt.Errorf("%q in the resources of the identity %q is not UTF-8", s, id)
			}
		}
	}
	return nil
}
