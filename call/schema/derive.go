package schema

import (
	"encoding/json"
	"fmt"

	"github.com/google/jsonschema-go/jsonschema"
)

// For derives the JSON Schema of what [encoding/json] writes for a T and reads
// into one.
//
// Fields without omitempty or omitzero are required, and members that are no
// field are refused. Slices, maps and pointers may be null, and so may the whole
// where it is a struct with nothing required. json.RawMessage, interfaces and
// types with JSON methods of their own may be anything; types with text methods
// are strings. A field's tag `jsonschema:"…"` becomes its description.
//
// It fails for what JSON cannot hold, such as channels, and for what cannot be
// told by a schema that is derived: types that contain themselves, the option
// ",string", and embedded structs that have a name. Write these by hand.
func For[T any]() (json.RawMessage, error) {
	known, err := knownTypes[T]()
	if err != nil {
		return nil, err
	}
	s, err := jsonschema.For[T](&jsonschema.ForOptions{TypeSchemas: known})
	if err != nil {
		return nil, fmt.Errorf("no schema can be derived: %w", err)
	}
	allowNull(s)
	if s.Type == "object" && len(s.Required) == 0 {
		nullable(s)
	}
	return json.Marshal(s)
}

// allowNull lets maps be null, as slices are: a nil map is marshalled so.
func allowNull(s *jsonschema.Schema) {
	if s == nil {
		return
	}
	for _, property := range s.Properties {
		allowNull(property)
	}
	allowNull(s.Items)
	isStruct := s.AdditionalProperties == nil || s.AdditionalProperties.Not != nil
	if s.Type == "object" && !isStruct {
		nullable(s)
	}
	if !isStruct {
		allowNull(s.AdditionalProperties)
	}
}

func nullable(s *jsonschema.Schema) { s.Type, s.Types = "", []string{"null", s.Type} }
