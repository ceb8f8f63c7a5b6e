package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"maps"
	"slices"
	"strings"
)

// schema is one of JSON Schema, draft 2020-12, as far as Go's types need it.
type schema struct {
	Schema      string `json:"$schema,omitempty"`
	ID          string `json:"$id,omitempty"`
	Title       string `json:"title,omitempty"`
	Description string `json:"description,omitempty"`

	Ref             string     `json:"$ref,omitempty"`
	OneOf           []schema   `json:"oneOf,omitempty"`
	Type            string     `json:"type,omitempty"`
	Const           string     `json:"const,omitempty"`
	Enum            []string   `json:"enum,omitempty"`
	Format          string     `json:"format,omitempty"`
	ContentEncoding string     `json:"contentEncoding,omitempty"`
	Minimum         *int       `json:"minimum,omitempty"`
	Maximum         *int       `json:"maximum,omitempty"`
	Items           *schema    `json:"items,omitempty"`
	Properties      properties `json:"properties,omitempty"`
	Required        []string   `json:"required,omitempty"`

	Defs map[string]schema `json:"$defs,omitempty"`
}

// properties are those of an object, in the order in which they are printed.
type properties []property

type property struct {
	name string
	schema
}

// MarshalJSON keeps the order.
func (p properties) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	out.WriteByte('{')
	for i, property := range p {
		if i > 0 {
			out.WriteByte(',')
		}
		name, err := json.Marshal(property.name)
		if err != nil {
			return nil, err
		}
		text, err := json.Marshal(property.schema)
		if err != nil {
			return nil, err
		}
		out.Write(name)
		out.WriteByte(':')
		out.Write(text)
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// generate returns the schema of the kinds of a package.
func generate(folder string) ([]byte, error) {
	p, err := parsePackage(folder)
	if err != nil {
		return nil, err
	}
	root := schema{
		Schema:      "https://json-schema.org/draft/2020-12/schema",
		ID:          "https://raw.githubusercontent.com/kubectl-seccomp/kubectl-seccomp/main/docs/schema/" + p.version + ".json",
		Title:       p.apiVersion,
		Description: "What kubectl seccomp prints with -o json and -o yaml.",
		Defs:        make(map[string]schema),
	}
	for _, name := range slices.Sorted(maps.Keys(p.structs)) {
		s, kind, err := p.object(name)
		if err != nil {
			return nil, err
		}
		root.Defs[name] = s
		if kind {
			root.OneOf = append(root.OneOf, ref(name))
		}
	}
	for name, of := range p.strings {
		root.Defs[name] = schema{Description: describe(of), Type: "string", Enum: p.values[name]}
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err = e.Encode(root)
	return out.Bytes(), err
}

func ref(name string) schema { return schema{Ref: "#/$defs/" + name} }

// object is the schema of a struct, and whether that is a kind.
func (p *pkg) object(name string) (s schema, kind bool, err error) {
	spec := p.structs[name]
	s = schema{Description: describe(spec.doc), Type: "object"}
	for _, f := range spec.Fields.List {
		if isSelector(f.Type, "metav1", "TypeMeta") {
			kind = true
			s.Properties = append(s.Properties, property{"apiVersion", schema{Const: p.apiVersion}}, property{"kind", schema{Const: name}})
			s.Required = append(s.Required, "apiVersion", "kind")
			continue
		}
		if len(f.Names) == 0 {
			embedded, ok := f.Type.(*ast.Ident)
			if !ok || p.structs[embedded.Name] == nil {
				return s, false, fmt.Errorf("%s: it embeds what is no struct of the package", name)
			}
			inner, _, err := p.object(embedded.Name)
			if err != nil {
				return s, false, err
			}
			// A field of the struct itself hides those that it embeds.
			s.Properties = append(s.Properties, slices.DeleteFunc(inner.Properties, func(p property) bool { return spec.has(p.name) })...)
			s.Required = append(s.Required, slices.DeleteFunc(inner.Required, spec.has)...)
			continue
		}
		tag, options, err := jsonTag(f)
		if err != nil {
			return s, false, fmt.Errorf("%s.%s: %w", name, f.Names[0].Name, err)
		}
		of, err := p.of(f.Type)
		if err != nil {
			return s, false, fmt.Errorf("%s.%s: %w", name, f.Names[0].Name, err)
		}
		of.Description = strings.TrimSpace(describe(f.Doc) + " " + describe(f.Comment))
		s.Properties = append(s.Properties, property{tag, of})
		if options == "" {
			s.Required = append(s.Required, tag)
		}
	}
	return s, kind, nil
}

// of is the schema of a type.
func (p *pkg) of(t ast.Expr) (schema, error) {
	zero, most := 0, 1<<16-1
	switch t := t.(type) {
	case *ast.StarExpr:
		return p.of(t.X)
	case *ast.ArrayType:
		if elem, ok := t.Elt.(*ast.Ident); ok && elem.Name == "byte" {
			return schema{Type: "string", ContentEncoding: "base64"}, nil
		}
		items, err := p.of(t.Elt)
		return schema{Type: "array", Items: &items}, err
	case *ast.SelectorExpr:
		switch {
		case isSelector(t, "metav1", "Time"), isSelector(t, "metav1", "MicroTime"):
			return schema{Type: "string", Format: "date-time"}, nil
		case isSelector(t, "metav1", "Duration"):
			return schema{Type: "string"}, nil // as Go writes it: 1.5s
		}
	case *ast.Ident:
		switch {
		case t.Name == "string":
			return schema{Type: "string"}, nil
		case t.Name == "bool":
			return schema{Type: "boolean"}, nil
		case t.Name == "int" || t.Name == "int64":
			return schema{Type: "integer"}, nil
		case t.Name == "uint16":
			return schema{Type: "integer", Minimum: &zero, Maximum: &most}, nil
		case t.Name == "uint32" || t.Name == "uint64":
			return schema{Type: "integer", Minimum: &zero}, nil
		case p.structs[t.Name] != nil || p.strings[t.Name] != nil:
			return ref(t.Name), nil
		}
	}
	return schema{}, fmt.Errorf("there is no schema for its type")
}
