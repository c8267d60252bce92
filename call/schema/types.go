package schema

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
)

// known gathers the types below one type for which the library's own rule, which
// looks at the kind only, would not say what encoding/json does.
type known struct {
	schemas map[reflect.Type]*jsonschema.Schema
	seen    map[reflect.Type]bool
}

func knownTypes[T any]() (map[reflect.Type]*jsonschema.Schema, error) {
	k := known{schemas: make(map[reflect.Type]*jsonschema.Schema), seen: make(map[reflect.Type]bool)}
	err := k.visit(reflect.TypeFor[T]())
	return k.schemas, err
}

func (k known) visit(t reflect.Type) error {
	if k.seen[t] {
		return nil
	}
	k.seen[t] = true
	if s := special(t); s != nil {
		k.schemas[t] = s
		return nil
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return k.visit(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			field := t.Field(i)
			if err := checkField(t, field); err != nil {
				return err
			}
			if field.Tag.Get("json") == "-" || (!field.IsExported() && !field.Anonymous) {
				continue
			}
			if err := k.visit(field.Type); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkField refuses what the library would describe wrongly.
func checkField(t reflect.Type, field reflect.StructField) error {
	name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
	if field.Anonymous && name != "" && name != "-" {
		return fmt.Errorf("%s.%s: no schema can be derived for an embedded field with a name", t, field.Name)
	}
	for option := range strings.SplitSeq(options, ",") {
		if option == "string" {
			return fmt.Errorf("%s.%s: no schema can be derived for the option ,string", t, field.Name)
		}
	}
	return nil
}

// special gives the schema of a type that is not what its kind says, or nil.
func special(t reflect.Type) *jsonschema.Schema {
	switch {
	case t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface:
		return nil // the library looks at what it points to, or lets anything pass
	case t == reflect.TypeFor[time.Time]():
		return &jsonschema.Schema{Type: "string", Format: "date-time"}
	case t == reflect.TypeFor[json.Number]():
		return &jsonschema.Schema{Type: "number"}
	case is[json.Marshaler](t) || is[json.Unmarshaler](t):
		return anything()
	case is[encoding.TextMarshaler](t) || is[encoding.TextUnmarshaler](t):
		return &jsonschema.Schema{Type: "string"}
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		return &jsonschema.Schema{Types: []string{"null", "string"}, ContentEncoding: "base64"}
	}
	return nil
}

// anything is the schema of every value. It lists the types, since the library
// would make "null only" of a pointer to a type that has none.
func anything() *jsonschema.Schema {
	return &jsonschema.Schema{Types: []string{"null", "boolean", "number", "string", "array", "object"}}
}

// is reports whether t or a pointer to it implements I.
func is[I any](t reflect.Type) bool {
	i := reflect.TypeFor[I]()
	return t.Implements(i) || reflect.PointerTo(t).Implements(i)
}
