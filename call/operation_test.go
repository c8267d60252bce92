package call_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/alkdev/hubspoke/call"
)

func TestAccessControl(t *testing.T) {
	scopes := func(s ...string) *call.Identity { return &call.Identity{ID: "i", Scopes: s} }
	resource := &call.Identity{ID: "i", Resources: map[string][]string{"doc": {"read", "write"}, "": {""}}}
	for name, c := range map[string]struct {
		access call.AccessControl
		id     *call.Identity
		want   bool
	}{
		"zero, nobody":       {call.AccessControl{}, nil, true},
		"zero, somebody":     {call.AccessControl{}, scopes(), true},
		"empty lists":        {call.AccessControl{RequiredScopes: []string{}, RequiredScopesAny: []string{}}, nil, true},
		"all, nobody":        {call.AccessControl{RequiredScopes: []string{"a"}}, nil, false},
		"all held":           {call.AccessControl{RequiredScopes: []string{"a", "b"}}, scopes("b", "c", "a"), true},
		"all but one":        {call.AccessControl{RequiredScopes: []string{"a", "b"}}, scopes("a"), false},
		"other case":         {call.AccessControl{RequiredScopes: []string{"a"}}, scopes("A"), false},
		"any held":           {call.AccessControl{RequiredScopesAny: []string{"a", "b"}}, scopes("b"), true},
		"none of any":        {call.AccessControl{RequiredScopesAny: []string{"a", "b"}}, scopes("c"), false},
		"any, nobody":        {call.AccessControl{RequiredScopesAny: []string{"a"}}, nil, false},
		"both":               {call.AccessControl{RequiredScopes: []string{"a"}, RequiredScopesAny: []string{"b", "c"}}, scopes("a", "c"), true},
		"only one of both":   {call.AccessControl{RequiredScopes: []string{"a"}, RequiredScopesAny: []string{"b"}}, scopes("a"), false},
		"resource":           {call.AccessControl{ResourceType: "doc", ResourceAction: "read"}, resource, true},
		"other action":       {call.AccessControl{ResourceType: "doc", ResourceAction: "delete"}, resource, false},
		"other resource":     {call.AccessControl{ResourceType: "file", ResourceAction: "read"}, resource, false},
		"no resources":       {call.AccessControl{ResourceType: "doc", ResourceAction: "read"}, scopes("doc"), false},
		"half a rule":        {call.AccessControl{ResourceType: "doc"}, resource, false},
		"the other half":     {call.AccessControl{ResourceAction: "read"}, resource, false},
		"scope and resource": {call.AccessControl{RequiredScopes: []string{"a"}, ResourceType: "doc", ResourceAction: "read"}, resource, false},
	} {
		if got := c.access.Allows(c.id); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	var nobody *call.Identity
	if nobody.HasScope("a") {
		t.Error("nobody has a scope")
	}
}

func TestValidate(t *testing.T) {
	long := "a." + strings.Repeat("b", 254)
	for name, c := range map[string]struct {
		op call.Operation
		ok bool
	}{
		"plain":           {call.Operation{Name: "text.count"}, true},
		"deep":            {call.Operation{Name: "a.b.c.d", Type: call.Subscription}, true},
		"longest":         {call.Operation{Name: long, Type: call.Mutation}, true},
		"too long":        {call.Operation{Name: long + "b"}, false},
		"empty":           {call.Operation{}, false},
		"no dot":          {call.Operation{Name: "text"}, false},
		"dot first":       {call.Operation{Name: ".a"}, false},
		"dot last":        {call.Operation{Name: "a."}, false},
		"two dots":        {call.Operation{Name: "a..b"}, false},
		"space":           {call.Operation{Name: "a. b"}, false},
		"wide space":      {call.Operation{Name: "a.\u2003b"}, false},
		"hard space":      {call.Operation{Name: "a.\u00a0b"}, false},
		"control":         {call.Operation{Name: "a.\x00"}, false},
		"delete":          {call.Operation{Name: "a.\x7f"}, false},
		"C1 control":      {call.Operation{Name: "a.\u0085"}, false},
		"not UTF-8":       {call.Operation{Name: "a.\xff"}, false},
		"other letters":   {call.Operation{Name: "größe.höhe"}, true},
		"unknown type":    {call.Operation{Name: "a.b", Type: "Query"}, false},
		"error codes":     {call.Operation{Name: "a.b", ErrorCodes: []call.Code{"OUT_OF_STOCK"}}, true},
		"bad error code":  {call.Operation{Name: "a.b", ErrorCodes: []call.Code{"OK", "outOfStock"}}, false},
		"half a resource": {call.Operation{Name: "a.b", Access: call.AccessControl{ResourceType: "doc"}}, false},
		"schemas":         {call.Operation{Name: "a.b", InputSchema: json.RawMessage(`{}`), OutputSchema: json.RawMessage(`true`)}, true},
		"bad schema":      {call.Operation{Name: "a.b", OutputSchema: json.RawMessage(`{`)}, false},
	} {
		err := c.op.Validate()
		if (err == nil) != c.ok || err != nil && !errors.Is(err, call.ErrInvalidOperation) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
