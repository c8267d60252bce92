package jsonscan

import (
	"errors"
	"fmt"
)

// Field is one member that Decode knows.
type Field struct {
	// Name is matched exactly, case included.
	Name string
	// Set is given the raw value, null included; it must copy what it keeps.
	Set func(raw []byte) error
}

// Decode reads the object in data and hands each known member to its field.
// Members that no field names are ignored. An error names the member: one that
// a field knows but that is named twice, or one whose Set refused it; data
// that is no JSON object is a *SyntaxError. Fields before the error have been set.
// It is meant for cold paths and for fewer than 64 fields; more is an error.
func Decode(data []byte, fields ...Field) error {
	if len(fields) > 64 {
		return errors.New("more than 64 fields")
	}
	var seen uint64
	o := Open(data)
	for o.Next() {
		name := o.Name()
		for i := range fields {
			if string(name) != fields[i].Name {
				continue
			}
			if seen>>i&1 != 0 {
				return fmt.Errorf("duplicate member %q", string(name))
			}
			seen |= 1 << i
			if err := fields[i].Set(o.Value()); err != nil {
				return fmt.Errorf("member %q: %w", string(name), err)
			}
			break
		}
	}
	return o.Err()
}
