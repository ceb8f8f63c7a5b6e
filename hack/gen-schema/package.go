package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// pkg is what a schema needs of a package's source.
type pkg struct {
	apiVersion string // GROUP/VERSION
	version    string
	structs    map[string]*structType
	strings    map[string]*ast.CommentGroup // types of strings, with their comments
	values     map[string][]string          // the constants of such a type
}

type structType struct {
	*ast.StructType
	doc *ast.CommentGroup
}

// has tells whether a field of the struct itself has a name in JSON.
func (s *structType) has(name string) bool {
	return slices.ContainsFunc(s.Fields.List, func(f *ast.Field) bool {
		tag, _, err := jsonTag(f)
		return err == nil && tag == name
	})
}

// parsePackage reads the exported types of a folder.
func parsePackage(folder string) (*pkg, error) {
	p := &pkg{
		structs: make(map[string]*structType), strings: make(map[string]*ast.CommentGroup), values: make(map[string][]string),
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(folder, e.Name()), nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		for _, d := range file.Decls {
			if d, ok := d.(*ast.GenDecl); ok {
				p.declare(d)
			}
		}
	}
	if p.apiVersion == "" {
		return nil, fmt.Errorf("%s: it has no GroupVersion", folder)
	}
	return p, nil
}

func (p *pkg) declare(d *ast.GenDecl) {
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			doc := spec.Doc
			if doc == nil {
				doc = d.Doc
			}
			switch t := spec.Type.(type) {
			case *ast.StructType:
				if spec.Name.IsExported() {
					p.structs[spec.Name.Name] = &structType{t, doc}
				}
			case *ast.Ident:
				if t.Name == "string" {
					p.strings[spec.Name.Name] = doc
				}
			}
		case *ast.ValueSpec:
			p.value(spec)
		}
	}
}

// value notes a constant of a type of strings, and the API version.
func (p *pkg) value(spec *ast.ValueSpec) {
	if len(spec.Values) != 1 {
		return
	}
	switch v := spec.Values[0].(type) {
	case *ast.BasicLit:
		if of, ok := spec.Type.(*ast.Ident); ok && v.Kind == token.STRING {
			p.values[of.Name] = append(p.values[of.Name], unquote(v))
		}
	case *ast.CompositeLit:
		if spec.Names[0].Name != "GroupVersion" {
			return
		}
		var parts []string
		for _, e := range v.Elts {
			if pair, ok := e.(*ast.KeyValueExpr); ok {
				if text, ok := pair.Value.(*ast.BasicLit); ok {
					parts = append(parts, unquote(text))
				}
			}
		}
		p.apiVersion, p.version = strings.Join(parts, "/"), parts[len(parts)-1]
	}
}

func unquote(l *ast.BasicLit) string {
	text, err := strconv.Unquote(l.Value)
	if err != nil {
		panic(err) // the parser has read it
	}
	return text
}

func isSelector(t ast.Expr, from, name string) bool {
	s, ok := t.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := s.X.(*ast.Ident)
	return ok && x.Name == from && s.Sel.Name == name
}

// jsonTag is the name of a field, and when it is left out.
func jsonTag(f *ast.Field) (name, options string, err error) {
	if f.Tag == nil || len(f.Names) != 1 {
		return "", "", fmt.Errorf("want one name and a tag for JSON")
	}
	name, options, _ = strings.Cut(reflect.StructTag(unquote(f.Tag)).Get("json"), ",")
	if name == "" || name == "-" {
		return "", "", fmt.Errorf("want a name in its tag for JSON")
	}
	return name, options, nil
}

// describe is the text of a comment on one line.
func describe(c *ast.CommentGroup) string {
	if c == nil {
		return ""
	}
	return strings.Join(strings.Fields(c.Text()), " ")
}
