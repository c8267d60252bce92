package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// node is one schema in a document, or the list or map between two.
type node struct {
	object  map[string]any
	inPlace []string // paths of the schemas that apply to the same value
	ref     string   // the path that $ref leads to
}

// nodes are all schemas of a document by their JSON Pointer.
type nodes map[string]*node

// How a keyword holds further schemas.
type holding int

const (
	one holding = 1 << iota
	list
	byName
	inPlace // they apply to the same value, not to a part of it
)

var keywords = map[string]holding{
	"$defs": byName, "definitions": byName,
	"properties": byName, "patternProperties": byName,
	"dependentSchemas": byName | inPlace, "dependencies": byName | inPlace,
	"allOf": list | inPlace, "anyOf": list | inPlace, "oneOf": list | inPlace,
	"not": one | inPlace, "if": one | inPlace, "then": one | inPlace, "else": one | inPlace,
	"prefixItems": list, "items": one | list, "additionalItems": one, "contains": one,
	"additionalProperties": one, "propertyNames": one, "contentSchema": one,
	"unevaluatedItems": one, "unevaluatedProperties": one,
}

// dialects are the values of $schema that the library knows.
var dialects = []string{
	"https://json-schema.org/draft/2020-12/schema",
	"http://json-schema.org/draft-07/schema#",
	"https://json-schema.org/draft-07/schema#",
}

// readNodes finds all schemas of a document.
func readNodes(document []byte) (nodes, error) {
	var root any
	if err := json.Unmarshal(document, &root); err != nil {
		return nil, err
	}
	ns := make(nodes)
	ns.add("", root)
	return ns, nil
}

func (ns nodes) add(path string, schema any) {
	if _, names := schema.([]any); names {
		return // in dependencies
	}
	object, _ := schema.(map[string]any) // or true or false, which may be referred to
	n := &node{object: object}
	ns[path] = n
	for keyword, value := range object {
		how, ok := keywords[keyword]
		if !ok {
			continue
		}
		for child, schema := range children(path+"/"+escape(keyword), how, value) {
			ns.add(child, schema)
			if how&inPlace != 0 {
				n.inPlace = append(n.inPlace, child)
			}
		}
	}
}

// children gives the schemas that value, at path, holds.
func children(path string, how holding, value any) map[string]any {
	found := make(map[string]any)
	switch value := value.(type) {
	case map[string]any:
		if how&byName == 0 {
			found[path] = value
			break
		}
		for name, schema := range value {
			found[path+"/"+escape(name)] = schema
		}
	case []any:
		for i, schema := range value {
			found[path+"/"+strconv.Itoa(i)] = schema
		}
	}
	return found
}

// check refuses what leads out of the document or around in it.
func (ns nodes) check() error {
	for _, path := range slices.Sorted(maps.Keys(ns)) {
		if err := ns.checkNode(path); err != nil {
			return fmt.Errorf("at %q: %w", path, err)
		}
	}
	return ns.checkCircles()
}

func (ns nodes) checkNode(path string) error {
	n := ns[path]
	for keyword, value := range n.object {
		text, _ := value.(string)
		switch keyword {
		case "$ref", "$dynamicRef":
			target, err := ns.target(text)
			if err != nil {
				return fmt.Errorf("%s: %w", keyword, err)
			}
			n.inPlace = append(n.inPlace, target...)
			if keyword == "$ref" {
				n.ref = target[0]
			}
		case "$id":
			if path != "" {
				return errors.New("$id may stand only at the top")
			}
		case "$schema":
			if !slices.Contains(dialects, text) {
				return fmt.Errorf("$schema: %q is not draft 2020-12 or 07", text)
			}
		case "$anchor", "$dynamicAnchor", "$comment", "$defs":
		default:
			if strings.HasPrefix(keyword, "$") {
				return fmt.Errorf("unknown keyword %q", keyword)
			}
		}
	}
	return nil
}

// target gives the schemas that a reference may lead to.
func (ns nodes) target(ref string) ([]string, error) {
	fragment, ok := strings.CutPrefix(ref, "#")
	if !ok {
		return nil, fmt.Errorf("%q leads out of the schema; only references that begin with # are allowed", ref)
	}
	fragment, err := url.PathUnescape(fragment)
	if err != nil {
		return nil, err
	}
	var found []string
	if fragment == "" || fragment[0] == '/' {
		if ns[fragment] != nil {
			return []string{fragment}, nil
		}
	} else {
		for path, n := range ns {
			if n.object["$anchor"] == fragment || n.object["$dynamicAnchor"] == fragment {
				found = append(found, path)
			}
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%q leads nowhere", ref)
	}
	return found, nil
}

// checkCircles refuses a schema that applies to a value by way of itself:
// validating it would never end.
func (ns nodes) checkCircles() error {
	const entered, left = 1, 2
	state := make(map[string]int)
	var visit func(path string) error
	visit = func(path string) error {
		switch state[path] {
		case entered:
			return fmt.Errorf("at %q: the schema refers to itself for the same value", path)
		case left:
			return nil
		}
		state[path] = entered
		if n := ns[path]; n != nil {
			for _, next := range n.inPlace {
				if err := visit(next); err != nil {
					return err
				}
			}
		}
		state[path] = left
		return nil
	}
	for _, path := range slices.Sorted(maps.Keys(ns)) {
		if err := visit(path); err != nil {
			return err
		}
	}
	return nil
}

var escaper = strings.NewReplacer("~", "~0", "/", "~1")

// escape makes a name a part of a JSON Pointer.
func escape(name string) string { return escaper.Replace(name) }
