package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"slices"
	"strconv"
	"strings"
)

// mutant is one change of one file: the bytes from start to end are replaced by text.
type mutant struct {
	dir        string // the package, a path from the root of the module
	file       string // a path from the root of the module
	line       int
	start, end int
	text       string
	kind       string // what the change is, for people
}

// source is one parsed file with its text.
type source struct {
	dir, name string // as in mutant
	text      []byte
	fset      *token.FileSet
	tree      *ast.File
	constants constants
}

// swaps names the operator that replaces another one. Two of them move a boundary.
var swaps = map[token.Token]string{
	token.LSS: "<=", token.LEQ: "<", token.GTR: ">=", token.GEQ: ">",
	token.EQL: "!=", token.NEQ: "==",
	token.LAND: "||", token.LOR: "&&",
	token.ADD: "-", token.SUB: "+", token.MUL: "/", token.QUO: "*",
	token.ADD_ASSIGN: "-=", token.SUB_ASSIGN: "+=", token.INC: "--", token.DEC: "++",
}

// mutants returns every change of the file that the tool knows, in the order of the text. Some of them do not
// compile, which only the compiler can find out.
func (s *source) mutants() []mutant {
	f := &finder{source: s}
	ast.PreorderStack(s.tree, nil, f.visit)
	slices.SortStableFunc(f.found, func(a, b mutant) int { return a.start - b.start })
	return slices.CompactFunc(f.found, func(a, b mutant) bool {
		return a.start == b.start && a.end == b.end && a.text == b.text
	})
}

type finder struct {
	*source
	found []mutant
}

func (f *finder) visit(n ast.Node, stack []ast.Node) bool {
	if !isTested(n) || isIgnored(n, stack) {
		return false
	}
	switch n := n.(type) {
	case *ast.BlockStmt:
		f.drop(n.List, stack)
	case *ast.CaseClause:
		f.drop(n.Body, stack)
		if s, ok := stack[len(stack)-2].(*ast.SwitchStmt); ok && s.Tag == nil {
			for _, condition := range n.List {
				f.negate(condition)
			}
		}
	case *ast.CommClause:
		f.drop(n.Body, stack)
	case *ast.IfStmt:
		f.negate(n.Cond)
	case *ast.BinaryExpr:
		if text, ok := swaps[n.Op]; ok && !isText(n.X) && !isText(n.Y) {
			f.replace(n.OpPos, n.OpPos+token.Pos(len(n.Op.String())), text, "swap operator")
		}
	case *ast.AssignStmt:
		if text, ok := swaps[n.Tok]; ok && !isText(n.Rhs[0]) {
			f.replace(n.TokPos, n.TokPos+token.Pos(len(n.Tok.String())), text, "swap operator")
		}
	case *ast.IncDecStmt:
		f.replace(n.TokPos, n.TokPos+2, swaps[n.Tok], "swap operator")
	case *ast.UnaryExpr:
		if n.Op == token.NOT {
			f.replace(n.OpPos, n.OpPos+1, "", "negate")
		}
	case *ast.BasicLit:
		f.shift(n, stack)
	case *ast.Ident:
		f.swapName(n, n.Name, f.constants.own, stack)
	case *ast.SelectorExpr:
		if pkg, ok := n.X.(*ast.Ident); ok {
			f.swapName(n.Sel, n.Sel.Name, f.constants.imported[pkg.Name], nil)
		}
	case *ast.ReturnStmt:
		f.results(n, stack)
	}
	return true
}

// drop adds a mutant without each statement that can be missing. The variables that it used are used up by
// assignments to the blank identifier, since the compiler refuses those that nothing uses.
func (f *finder) drop(list []ast.Stmt, stack []ast.Node) {
	for _, s := range list {
		if !isTested(s) {
			continue
		}
		switch s := s.(type) {
		case *ast.ExprStmt:
			if isWithoutEffect(s.X) {
				continue
			}
		case *ast.AssignStmt:
			if s.Tok == token.DEFINE {
				continue
			}
		case *ast.DeferStmt:
			if isWithoutEffect(s.Call) {
				continue
			}
		case *ast.IncDecStmt, *ast.SendStmt, *ast.GoStmt, *ast.BranchStmt, *ast.RangeStmt, *ast.ForStmt:
		case *ast.IfStmt:
			if s.Else != nil {
				continue
			}
		case *ast.ReturnStmt:
			if len(s.Results) > 0 && s == list[len(list)-1] && isFunction(stack[len(stack)-1]) {
				continue // a function with results ends with one
			}
		default:
			continue
		}
		f.replace(s.Pos(), s.End(), useUp(s, stack), "drop statement")
	}
}

// useUp returns assignments to the blank identifier for each local variable in a statement that an earlier
// statement of the same function declares.
func useUp(dropped ast.Stmt, stack []ast.Node) string {
	declared := map[string]bool{}
	for _, n := range stack {
		if !isFunction(n) {
			continue
		}
		ast.Inspect(n, func(n ast.Node) bool {
			if n == nil || n.Pos() >= dropped.Pos() {
				return false
			}
			for _, name := range declarations(n) {
				declared[name] = true
			}
			return true
		})
		break
	}
	var uses []string
	ast.PreorderStack(dropped, nil, func(n ast.Node, stack []ast.Node) bool {
		ident, ok := n.(*ast.Ident)
		if !ok || !declared[ident.Name] || isMember(ident, stack) {
			return true
		}
		if use := "_ = " + ident.Name; !slices.Contains(uses, use) {
			uses = append(uses, use)
		}
		return true
	})
	return strings.Join(uses, "; ")
}

// declarations returns the local variables that a statement declares.
func declarations(n ast.Node) []string {
	var names []ast.Expr
	switch n := n.(type) {
	case *ast.AssignStmt:
		if n.Tok == token.DEFINE {
			names = n.Lhs
		}
	case *ast.RangeStmt:
		if n.Tok == token.DEFINE {
			names = []ast.Expr{n.Key, n.Value}
		}
	case *ast.ValueSpec:
		for _, name := range n.Names {
			names = append(names, name)
		}
	}
	var list []string
	for _, expr := range names {
		if ident, ok := expr.(*ast.Ident); ok && ident.Name != "_" {
			list = append(list, ident.Name)
		}
	}
	return list
}

// negate adds the mutant with the opposite condition, unless another rule makes the same one.
func (f *finder) negate(condition ast.Expr) {
	switch c := condition.(type) {
	case *ast.BinaryExpr:
		if c.Op == token.EQL || c.Op == token.NEQ {
			return
		}
	case *ast.UnaryExpr:
		if c.Op == token.NOT {
			return
		}
	case *ast.Ident:
		if c.Name == "true" || c.Name == "false" {
			return
		}
	}
	f.replace(condition.Pos(), condition.End(), "!("+f.string(condition)+")", "negate")
}

// shift adds the neighbors of a number.
func (f *finder) shift(lit *ast.BasicLit, stack []ast.Node) {
	up, down := "("+lit.Value+" + 1)", ""
	switch lit.Kind {
	case token.INT:
		n, err := strconv.ParseUint(lit.Value, 0, 63)
		if err != nil {
			return
		}
		up = strconv.FormatUint(n+1, 10)
		if n > 0 && !isConstant(stack) {
			down = strconv.FormatUint(n-1, 10)
		}
	case token.CHAR, token.FLOAT:
	default:
		return
	}
	if array, ok := stack[len(stack)-1].(*ast.ArrayType); ok && array.Len == lit {
		return // a size that the type of something else must agree with
	}
	f.replace(lit.Pos(), lit.End(), up, "shift number")
	if down != "" {
		f.replace(lit.Pos(), lit.End(), down, "shift number")
	}
}

// swapName adds the mutant with another constant of the same group, or the other truth value.
func (f *finder) swapName(ident *ast.Ident, name string, next map[string]string, stack []ast.Node) {
	if stack != nil && (isMember(ident, stack) || isDeclared(ident, stack)) {
		return
	}
	other := next[name]
	switch name {
	case "true":
		other = "false"
	case "false":
		other = "true"
	}
	if other != "" {
		f.replace(ident.Pos(), ident.End(), other, "swap constant")
	}
}

// results adds mutants that return the zero value in place of each result, and the opposite of each truth value.
func (f *finder) results(ret *ast.ReturnStmt, stack []ast.Node) {
	types := resultTypes(stack)
	if len(types) != len(ret.Results) {
		return
	}
	for i, result := range ret.Results {
		text := f.string(result)
		zero := zeroOf(types[i])
		if isIgnored(result, append(stack, ret)) {
			continue
		}
		switch {
		case zero == "" || text == zero || text == "true" || text == "false":
			continue
		case zero == "false":
			f.negate(result)
			continue
		}
		if _, literal := result.(*ast.BasicLit); literal {
			continue // shift has it
		}
		f.replace(result.Pos(), result.End(), zero, "return zero")
	}
}

// resultTypes returns the type of each result of the innermost function.
func resultTypes(stack []ast.Node) []ast.Expr {
	var signature *ast.FuncType
	for _, n := range slices.Backward(stack) {
		if d, ok := n.(*ast.FuncDecl); ok {
			signature = d.Type
		} else if l, ok := n.(*ast.FuncLit); ok {
			signature = l.Type
		}
		if signature != nil {
			break
		}
	}
	if signature == nil || signature.Results == nil {
		return nil
	}
	var types []ast.Expr
	for _, field := range signature.Results.List {
		for range max(1, len(field.Names)) {
			types = append(types, field.Type)
		}
	}
	return types
}

// zeroOf returns the zero value of a type where its syntax decides it, otherwise "".
func zeroOf(expr ast.Expr) string {
	switch t := expr.(type) {
	case *ast.StarExpr, *ast.MapType, *ast.FuncType, *ast.ChanType, *ast.InterfaceType:
		return "nil"
	case *ast.ArrayType:
		if t.Len == nil {
			return "nil"
		}
	case *ast.Ident:
		switch t.Name {
		case "error", "any":
			return "nil"
		case "bool":
			return "false"
		case "string":
			return `""`
		case "int", "int8", "int16", "int32", "int64", "uint", "uint8", "uint16", "uint32", "uint64", "byte", "rune", "float64":
			return "0"
		}
	case *ast.SelectorExpr:
		if pkg, ok := t.X.(*ast.Ident); ok && pkg.Name == "time" && t.Sel.Name == "Duration" {
			return "0"
		}
	}
	return ""
}

func (f *finder) replace(from, to token.Pos, text, kind string) {
	position := f.fset.Position(from)
	if string(f.text[position.Offset:f.fset.Position(to).Offset]) == text {
		return
	}
	f.found = append(f.found, mutant{
		dir: f.dir, file: f.name, line: position.Line,
		start: position.Offset, end: f.fset.Position(to).Offset,
		text: text, kind: kind,
	})
}

func (f *finder) string(n ast.Node) string {
	return string(f.text[f.fset.Position(n.Pos()).Offset:f.fset.Position(n.End()).Offset])
}

// apply returns the text with the change.
func (m *mutant) apply(text []byte) []byte {
	return slices.Concat(text[:m.start], []byte(m.text), text[m.end:])
}

// describe returns where the change is and the first changed line before and after it.
func (m *mutant) describe(text []byte) string {
	from := strings.LastIndexByte(string(text[:m.start]), '\n') + 1
	before, after := string(text[from:m.end]), string(text[from:m.start])+m.text
	rest, _, _ := strings.Cut(string(text[m.end:]), "\n")
	return fmt.Sprintf("%s:%d: %s\n\t- %s\n\t+ %s", m.file, m.line, m.kind, fold(before+rest), fold(after+rest))
}

// fold returns a statement in one line, cut to what fits there.
func fold(text string) string {
	const width = 140
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > width {
		return text[:width] + " …"
	}
	return text
}
