package jsonscan

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"slices"
)

// Field is one member that Decode knows.
type Field struct {
	Name  string // matched exactly, case included
	Value Value
}

// Value takes the value of a member. It is an interface rather than a function because a pointer in it takes
// no memory of its own.
type Value interface {
	// Set takes the raw value, null included; it must copy what it keeps.
	Set(raw []byte) error
}

// Func makes a Value of a function.
type Func func(raw []byte) error

// Set calls f.
func (f Func) Set(raw []byte) error { return f(raw) }

// Decode reads the object in data and passes each known member to its field.
// Members that no field names are ignored. An error names the member: one that
// a field knows but that is named twice, or one whose Set refused it; data
// that is no JSON object is an error too. Fields before the error have been set.
// It is meant for cold paths and for at most 64 fields; more is an error.
func Decode(data []byte, fields ...Field) error {
	if len(fields) > 64 {
		return errors.New("more than 64 fields")
	}
	c := Read(data)
	if !c.Object() {
		if err := c.End(); err != nil && len(data) > 0 {
			return err
		}
		return errNotObject
	}
	var seen uint64
	for c.Member() {
		name := c.Name()
		i := slices.IndexFunc(fields, func(f Field) bool { return string(name) == f.Name })
		if i < 0 {
			continue
		}
		if seen>>i&1 != 0 {
			return fmt.Errorf("duplicate member %q", fields[i].Name)
		}
		seen |= 1 << i
		raw := c.Value()
		if raw == nil {
			break
		}
		if err := fields[i].Value.Set(raw); err != nil {
			return fmt.Errorf("member %q: %w", fields[i].Name, err)
		}
	}
	return c.End()
}

var errNotObject = errors.New("not a JSON object")

// StringField sets *p to a string. As with all of these fields, null counts as
// absent: *p stays as it is.
func StringField(name string, p *string) Field { return Field{name, (*stringValue)(p)} }

// IntField sets *p to an integer (see Int).
func IntField(name string, p *int64) Field { return Field{name, (*intValue)(p)} }

// BoolField sets *p to true or false.
func BoolField(name string, p *bool) Field { return Field{name, (*boolValue)(p)} }

// RawField sets *p to a copy of the raw JSON.
func RawField(name string, p *[]byte) Field { return Field{name, (*rawValue)(p)} }

// ObjectField sets *p to a copy of the raw JSON, which must be an object.
func ObjectField(name string, p *[]byte) Field { return Field{name, (*objectValue)(p)} }

// StringsField sets *p to an array of strings; for an empty array it is an empty
// slice that is not nil.
func StringsField(name string, p *[]string) Field { return Field{name, (*stringsValue)(p)} }

// MapField sets *p to an object whose values are strings; one name twice is an
// error.
func MapField(name string, p *map[string]string) Field { return Field{name, (*mapValue)(p)} }

type (
	stringValue  string
	intValue     int64
	boolValue    bool
	rawValue     []byte
	objectValue  []byte
	stringsValue []string
	mapValue     map[string]string
)

func (v *stringValue) Set(raw []byte) error { return set((*string)(v), raw, String, "a string") }

func (v *intValue) Set(raw []byte) error {
	return set((*int64)(v), raw, Int, "an integer of 64 bits, without fraction and exponent")
}

func (v *boolValue) Set(raw []byte) error { return set((*bool)(v), raw, Bool, "true or false") }

func (v *rawValue) Set(raw []byte) error {
	if !IsNull(raw) {
		*v = bytes.Clone(raw)
	}
	return nil
}

func (v *objectValue) Set(raw []byte) error {
	if !IsNull(raw) && Kind(raw) != '{' {
		return errors.New("is not an object")
	}
	return (*rawValue)(v).Set(raw)
}

func (v *stringsValue) Set(raw []byte) error {
	return set((*[]string)(v), raw, Strings, "an array of strings")
}

func (v *mapValue) Set(raw []byte) error {
	if IsNull(raw) {
		return nil
	}
	c := Read(raw)
	if !c.Object() {
		return errors.New("is not an object of strings")
	}
	m := make(mapValue)
	for c.Member() {
		key := string(c.Name())
		value, ok := c.Text()
		if !ok {
			return fmt.Errorf("%q is not a string", key)
		}
		if _, twice := m[key]; twice {
			return fmt.Errorf("duplicate key %q", key)
		}
		m[key] = string(value)
	}
	*v = m
	return nil
}

func set[T any](p *T, raw []byte, read func([]byte) (T, bool), want string) error {
	if IsNull(raw) {
		return nil
	}
	v, ok := read(raw)
	if !ok {
		return errors.New("is not " + want)
	}
	*p = v
	return nil
}

// Strings reads a JSON array of strings; ok is false if raw is anything else.
func Strings(raw []byte) (list []string, ok bool) {
	c := Read(raw)
	if !c.Array() {
		return nil, false
	}
	list = []string{}
	for c.Element() {
		s, ok := c.Text()
		if !ok {
			return nil, false
		}
		list = append(list, string(s))
	}
	return list, c.End() == nil
}

// Members yields the members of the object in data, which is known to be valid: the name and the value as written.
// Both are valid until the next step. It yields nothing if data is no object.
func Members(data []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		c := Read(data)
		if !c.Object() {
			return
		}
		for c.Member() {
			if name := c.Name(); !yield(name, c.Value()) {
				return
			}
		}
	}
}
