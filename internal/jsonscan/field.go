package jsonscan

import (
	"bytes"
	"errors"
	"fmt"
)

// StringField sets *p to a string. As with all of these fields, null counts as
// absent: *p stays as it is.
func StringField(name string, p *string) Field {
	return Field{name, func(raw []byte) error { return set(p, raw, String, "a string") }}
}

// IntField sets *p to an integer (see Int).
func IntField(name string, p *int64) Field {
	return Field{name, func(raw []byte) error {
		return set(p, raw, Int, "an integer of 64 bits, without fraction and exponent")
	}}
}

// BoolField sets *p to true or false.
func BoolField(name string, p *bool) Field {
	return Field{name, func(raw []byte) error { return set(p, raw, Bool, "true or false") }}
}

// RawField sets *p to a copy of the raw JSON.
func RawField(name string, p *[]byte) Field {
	return Field{name, func(raw []byte) error {
		return set(p, raw, func(raw []byte) ([]byte, bool) { return bytes.Clone(raw), true }, "")
	}}
}

// ObjectField sets *p to a copy of the raw JSON, which must be an object.
func ObjectField(name string, p *[]byte) Field {
	return Field{name, func(raw []byte) error {
		return set(p, raw, func(raw []byte) ([]byte, bool) { return bytes.Clone(raw), Kind(raw) == '{' }, "an object")
	}}
}

// StringsField sets *p to an array of strings; an empty array gives an empty
// slice that is not nil.
func StringsField(name string, p *[]string) Field {
	return Field{name, func(raw []byte) error { return set(p, raw, Strings, "an array of strings") }}
}

// MapField sets *p to an object whose values are strings; one name twice is an
// error.
func MapField(name string, p *map[string]string) Field {
	return Field{name, func(raw []byte) error {
		if IsNull(raw) {
			return nil
		}
		m := make(map[string]string)
		o := Open(raw)
		for o.Next() {
			key := string(o.Name())
			value, ok := String(o.Value())
			if !ok {
				return fmt.Errorf("%q is not a string", key)
			}
			if _, twice := m[key]; twice {
				return fmt.Errorf("duplicate key %q", key)
			}
			m[key] = value
		}
		if o.Err() != nil {
			return errors.New("is not an object of strings")
		}
		*p = m
		return nil
	}}
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
	a := OpenArray(raw)
	list = []string{}
	for a.Next() {
		s, ok := String(a.Value())
		if !ok {
			return nil, false
		}
		list = append(list, s)
	}
	return list, a.Err() == nil
}
