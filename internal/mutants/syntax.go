package main

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// untested names functions that only people read the results of.
var untested = []string{"String", "GoString", "Error", "MarshalZerologObject"}

// isTested returns false for parts of the code in which no mutant is made: texts for people, log lines, panics,
// and the sizes of what make reserves.
func isTested(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.FuncDecl:
		return n.Recv == nil || !slices.Contains(untested, n.Name.Name)
	case *ast.ImportSpec:
		return false
	case *ast.ExprStmt:
		return isTested(n.X) && !isLogField(n.X)
	case *ast.DeferStmt:
		return isTested(n.Call)
	case *ast.CallExpr:
		switch fun := n.Fun.(type) {
		case *ast.Ident:
			return fun.Name != "panic" && fun.Name != "make"
		case *ast.SelectorExpr:
			pkg, _ := fun.X.(*ast.Ident)
			isError := pkg != nil && (pkg.Name == "fmt" && fun.Sel.Name == "Errorf" || pkg.Name == "errors" && fun.Sel.Name == "New")
			return !isError && !isLogged(n)
		}
	}
	return true
}

// isIgnored returns true for a scalar that is returned beside false or beside a new error: callers do not look at it.
func isIgnored(n ast.Node, stack []ast.Node) bool {
	if len(stack) == 0 {
		return false
	}
	ret, ok := stack[len(stack)-1].(*ast.ReturnStmt)
	if !ok || len(ret.Results) < 2 {
		return false
	}
	last := ret.Results[len(ret.Results)-1]
	if n == last {
		return false
	}
	switch e := last.(type) {
	case *ast.Ident:
		if e.Name != "false" && e.Name != "err" {
			return false
		}
	case *ast.CallExpr:
		if isTested(e) {
			return false
		}
	default:
		return false
	}
	switch e := n.(type) {
	case *ast.BasicLit:
		return true
	case *ast.Ident:
		return e.Name == "true" || e.Name == "false"
	}
	return false
}

// isLogged returns true for a chain of zerolog calls such as log.Warn().Err(err).Msg("…").
func isLogged(call *ast.CallExpr) bool {
	levels := []string{"Trace", "Debug", "Info", "Warn", "Error", "Err", "WithLevel"}
	for last := true; ; last = false {
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return false
		}
		if last && !slices.Contains([]string{"Msg", "Msgf", "Send"}, sel.Sel.Name) {
			return false
		}
		if !last && slices.Contains(levels, sel.Sel.Name) {
			return true
		}
		inner, ok := sel.X.(*ast.CallExpr)
		if !ok {
			return false
		}
		call = inner
	}
}

// isLogField returns true for a statement that adds a field to a log line, such as ev.Str("name", name).
func isLogField(expr ast.Expr) bool {
	call, ok := expr.(*ast.CallExpr)
	if !ok || len(call.Args) != 2 || !isText(call.Args[0]) {
		return false
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	return ok && slices.Contains([]string{"Str", "Strs", "Int", "Int64", "Uint64", "Bool", "Dur", "Time", "Any", "RawJSON"}, sel.Sel.Name)
}

// isWithoutEffect returns true for calls that only help the runtime.
func isWithoutEffect(expr ast.Expr) bool {
	call, ok := expr.(*ast.CallExpr)
	if !ok {
		return false
	}
	if fun, ok := call.Fun.(*ast.Ident); ok {
		return fun.Name == "putBuffer" // of transport: into a pool
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == "runtime" {
		return true
	}
	return sel.Sel.Name == "Put" && strings.HasSuffix(strings.ToLower(lastName(sel.X)), "pool")
}

func lastName(expr ast.Expr) string {
	switch e := expr.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

func isFunction(n ast.Node) bool {
	switch n.(type) {
	case *ast.FuncDecl, *ast.FuncLit:
		return true
	}
	return false
}

func isText(expr ast.Expr) bool {
	lit, ok := expr.(*ast.BasicLit)
	return ok && lit.Kind == token.STRING
}

// isMember returns true for a name that is a field or method of something, or a key of a struct.
func isMember(ident *ast.Ident, stack []ast.Node) bool {
	if len(stack) == 0 {
		return false
	}
	switch parent := stack[len(stack)-1].(type) {
	case *ast.SelectorExpr:
		return parent.Sel == ident
	case *ast.KeyValueExpr:
		return parent.Key == ident
	}
	return false
}

// isDeclared returns true where a name is introduced and not used.
func isDeclared(ident *ast.Ident, stack []ast.Node) bool {
	switch parent := stack[len(stack)-1].(type) {
	case *ast.ValueSpec:
		return slices.Contains(parent.Names, ident)
	case *ast.Field, *ast.FuncDecl, *ast.TypeSpec, *ast.LabeledStmt, *ast.BranchStmt, *ast.File:
		return true
	}
	return false
}

// isConstant returns true inside of a declaration of constants.
func isConstant(stack []ast.Node) bool {
	return slices.ContainsFunc(stack, func(n ast.Node) bool {
		decl, ok := n.(*ast.GenDecl)
		return ok && decl.Tok == token.CONST
	})
}

// constants holds, for the package and for what a file imports from this module, which constant follows which in
// its group.
type constants struct {
	own      map[string]string
	imported map[string]map[string]string // by the package's name in the file
}

// groups adds the constants of a file to next. The last of a group is followed by the first.
func groups(tree *ast.File, next map[string]string) {
	for _, d := range tree.Decls {
		decl, ok := d.(*ast.GenDecl)
		if !ok || decl.Tok != token.CONST {
			continue
		}
		var names []string
		for _, spec := range decl.Specs {
			for _, name := range spec.(*ast.ValueSpec).Names {
				if name.Name != "_" {
					names = append(names, name.Name)
				}
			}
		}
		for i, name := range names {
			if len(names) > 1 {
				next[name] = names[(i+1)%len(names)]
			}
		}
	}
}
