package main

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
)

// xsys is the source of golang.org/x/sys/unix in the module cache.
type xsys struct {
	dir     string // of package unix
	version string // of the module
	kernel  string // release whose headers it was generated from, "7.2"
}

func openXSys() (*xsys, error) {
	out, err := exec.Command("go", "list", "-m", "-json", "golang.org/x/sys").Output()
	if err != nil {
		return nil, fmt.Errorf("go list -m golang.org/x/sys: %w", err)
	}
	var m struct{ Dir, Version string }
	if err := json.Unmarshal(out, &m); err != nil {
		return nil, fmt.Errorf("go list -m golang.org/x/sys: %w", err)
	}
	if m.Dir == "" {
		return nil, fmt.Errorf("golang.org/x/sys %s is not in the module cache: run go mod download", m.Version)
	}
	x := &xsys{dir: filepath.Join(m.Dir, "unix"), version: m.Version}
	dockerfile, err := os.ReadFile(filepath.Join(x.dir, "linux", "Dockerfile"))
	if err != nil {
		return nil, err
	}
	tag := regexp.MustCompile(`--branch v(\d+\.\d+(?:\.\d+)?) .*/linux\n`).FindSubmatch(dockerfile)
	if tag == nil {
		return nil, fmt.Errorf("x/sys %s: its Dockerfile names no kernel release", m.Version)
	}
	x.kernel = string(tag[1])
	return x, nil
}

// parse reads one file of package unix.
func (x *xsys) parse(name string) (*ast.File, error) {
	return parser.ParseFile(token.NewFileSet(), filepath.Join(x.dir, name), nil, parser.SkipObjectResolution)
}

// consts returns the constants of a file whose value is an integer literal.
func (x *xsys) consts(name string) (map[string]uint64, error) {
	return x.constants(name, intLit)
}

// converted returns the constants of a file whose value is an integer literal
// converted to a type of package syscall: Errno or Signal.
func (x *xsys) converted(name, typ string) (map[string]uint64, error) {
	return x.constants(name, func(e ast.Expr) (uint64, bool) {
		call, ok := e.(*ast.CallExpr)
		if !ok || len(call.Args) != 1 {
			return 0, false
		}
		if fun, ok := call.Fun.(*ast.SelectorExpr); !ok || fun.Sel.Name != typ {
			return 0, false
		}
		return intLit(call.Args[0])
	})
}

// allConsts returns the constants and signals of an architecture, shared ones
// included.
func (x *xsys) allConsts(goarch string) (map[string]uint64, error) {
	all := make(map[string]uint64)
	for _, file := range []string{"zerrors_linux.go", "ztypes_linux.go", "zerrors_linux_" + goarch + ".go", "ztypes_linux_" + goarch + ".go"} {
		plain, err := x.consts(file)
		if err != nil {
			return nil, err
		}
		signals, err := x.converted(file, "Signal")
		if err != nil {
			return nil, err
		}
		maps.Copy(all, plain)
		maps.Copy(all, signals)
	}
	return all, nil
}

func (x *xsys) constants(name string, value func(ast.Expr) (uint64, bool)) (map[string]uint64, error) {
	f, err := x.parse(name)
	if err != nil {
		return nil, err
	}
	consts := make(map[string]uint64)
	for _, d := range f.Decls {
		d, ok := d.(*ast.GenDecl)
		if !ok || d.Tok != token.CONST {
			continue
		}
		for _, s := range d.Specs {
			s := s.(*ast.ValueSpec)
			for i, e := range s.Values {
				if n, ok := value(e); ok {
					consts[s.Names[i].Name] = n
				}
			}
		}
	}
	return consts, nil
}

// errorList returns the name that x/sys gives each errno of an architecture:
// one for each number, never an alias.
func (x *xsys) errorList(goarch string) (map[uint64]string, error) {
	f, err := x.parse("zerrors_linux_" + goarch + ".go")
	if err != nil {
		return nil, err
	}
	names := make(map[uint64]string)
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if spec.Names[0].Name != "errorList" {
			return false
		}
		for _, row := range spec.Values[0].(*ast.CompositeLit).Elts {
			row := row.(*ast.CompositeLit)
			num, ok1 := intLit(row.Elts[0])
			name, ok2 := row.Elts[1].(*ast.BasicLit)
			if ok1 && ok2 {
				names[num], _ = strconv.Unquote(name.Value)
			}
		}
		return false
	})
	if len(names) == 0 {
		return nil, fmt.Errorf("x/sys: no errorList for %s", goarch)
	}
	return names, nil
}

func intLit(e ast.Expr) (uint64, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.INT {
		return 0, false
	}
	n, err := strconv.ParseUint(lit.Value, 0, 64)
	return n, err == nil
}
