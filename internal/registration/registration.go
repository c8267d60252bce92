package registration

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/jsonscan"
	"github.com/alkdev/hubspoke/internal/wire"
	"github.com/alkdev/hubspoke/pubsub"
)

// MaxSpokeIDBytes leaves room for the id in a topic of presence.
const MaxSpokeIDBytes = 128

// Registration describes a spoke, as it was parsed. The operations are in Set only.
type Registration struct {
	wire.Registration

	Set *OperationSet // never nil; others may share it
}

// parse reads the input of hub.register. The operations' schemas are copies; nothing
// aliases input. A nil sets shares no operations.
func parse(input []byte, sets *OperationSets) (*Registration, error) {
	parsed, err := wire.ParseRegistration(input)
	if err != nil {
		return nil, err
	}
	if err := Validate(parsed); err != nil {
		return nil, err
	}
	r := &Registration{*parsed, noOperations}
	r.Operations = nil
	if len(parsed.Operations) > 0 {
		if r.Set, err = sets.parse(parsed.Operations); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// Validate checks what the hub checks besides the operations, so that a spoke finds out when it is made.
func Validate(r *wire.Registration) error {
	if err := CheckName("spokeId", r.SpokeID); err != nil {
		return err
	}
	if err := pubsub.ValidTopic(r.SpokeID); r.SpokeID != "" && err != nil { // it becomes part of topics
		return fmt.Errorf("spokeId: %w", err)
	}
	if err := CheckName("instanceId", r.InstanceID); err != nil {
		return err
	}
	for name, text := range map[string]string{"name": r.Name, "version": r.Version} {
		if !utf8.ValidString(text) {
			return fmt.Errorf("%s %q is not UTF-8", name, text)
		}
	}
	for label, value := range r.Labels {
		if !utf8.ValidString(label) || !utf8.ValidString(value) {
			return fmt.Errorf("label %q with the value %q is not UTF-8", label, value)
		}
	}
	return nil
}

// CheckName checks an id of a spoke, an instance or a hub; it may be empty.
func CheckName(what, id string) error {
	if len(id) > MaxSpokeIDBytes {
		return fmt.Errorf("%s has %d bytes; the limit is %d", what, len(id), MaxSpokeIDBytes)
	}
	if strings.ContainsFunc(id, func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError }) {
		return fmt.Errorf("%s %q is not UTF-8 without control characters", what, id)
	}
	return nil
}

// parseOperations reads the operations of a registration.
func parseOperations(raw []byte) ([]call.Operation, error) {
	c := jsonscan.Read(raw)
	if !c.Array() {
		return nil, errors.New("operations is not an array")
	}
	var ops []call.Operation
	names := map[string]bool{}
	for c.Element() {
		op, err := parseOperation(c.Value())
		if err != nil {
			return nil, err
		}
		if names[op.Name] {
			return nil, fmt.Errorf("duplicate operation %q", op.Name)
		}
		if strings.HasPrefix(op.Name, wire.HubPrefix) {
			return nil, fmt.Errorf("operation %q: names that begin with hub. are the hub's", op.Name)
		}
		names[op.Name] = true
		ops = append(ops, op)
	}
	return ops, c.End()
}

// parseOperation reads the description of an operation and validates it. Nothing aliases raw.
func parseOperation(raw []byte) (call.Operation, error) {
	w, err := wire.ParseOperation(raw)
	if err != nil {
		return call.Operation{}, err
	}
	op := call.Operation{
		Name: w.Name, Type: call.Type(w.Type), Description: w.Description, InputSchema: w.InputSchema, OutputSchema: w.OutputSchema,
		Access: call.AccessControl{RequiredScopes: w.RequiredScopes, RequiredScopesAny: w.RequiredScopesAny,
			ResourceType: w.ResourceType, ResourceAction: w.ResourceAction},
	}
	for _, c := range w.ErrorCodes {
		op.ErrorCodes = append(op.ErrorCodes, call.Code(c))
	}
	if op.Type == "" {
		op.Type = call.Query
	}
	return op, op.Validate()
}
