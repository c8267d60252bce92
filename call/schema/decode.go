package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxDepth is how deep an input may be nested. Validation of a schema that refers
// to itself recurses as deep, and the library's errors grow with the depth.
const maxDepth = 100

// decode reads one JSON value as the library wants it, and is stricter than
// json.Unmarshal: no member twice, and not too deep.
func decode(raw []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	v, err := decodeValue(d, 0)
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("not readable: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("not readable: something follows the value")
	}
	return v, nil
}

func decodeValue(d *json.Decoder, depth int) (any, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	if number, ok := token.(json.Number); ok {
		return number.Float64() // Token alone accepts 1e400 with GOEXPERIMENT=jsonv2
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return token, nil
	}
	if depth == maxDepth {
		return nil, fmt.Errorf("nested deeper than %d levels", maxDepth)
	}
	var v any
	if delim == '{' {
		v, err = decodeObject(d, depth+1)
	} else {
		v, err = decodeArray(d, depth+1)
	}
	if err != nil {
		return nil, err
	}
	_, err = d.Token() // the closing one
	return v, err
}

func decodeObject(d *json.Decoder, depth int) (map[string]any, error) {
	object := make(map[string]any)
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, ok := token.(string)
		if !ok {
			return nil, errors.New("the name of a member is not a string")
		}
		if _, twice := object[name]; twice {
			return nil, fmt.Errorf("duplicate member %.64q", name)
		}
		if object[name], err = decodeValue(d, depth); err != nil {
			return nil, err
		}
	}
	return object, nil
}

func decodeArray(d *json.Decoder, depth int) ([]any, error) {
	array := []any{}
	for d.More() {
		v, err := decodeValue(d, depth)
		if err != nil {
			return nil, err
		}
		array = append(array, v)
	}
	return array, nil
}
