package printer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/client-go/util/jsonpath"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/terminal"
)

// Columns prints columns of the user's choice, as kubectl get does with
// -o custom-columns: a row for each item of a list, or check of a Diagnosis, and for
// another kind one. It is written here since what kubectl has for it brings in the half of kubectl.
type Columns struct {
	headers   []string
	paths     []*jsonpath.JSONPath
	noHeaders bool
}

var _ printers.ResourcePrinter = (*Columns)(nil)

// ParseColumns reads HEADER:PATH,…. A PATH is one of JSONPath; its braces and the
// dot that it begins with may be left out.
func ParseColumns(spec string) (*Columns, error) {
	if spec == "" {
		return nil, errors.New("custom-columns: want columns behind it: custom-columns=HEADER:PATH,...")
	}
	c := new(Columns)
	for column := range strings.SplitSeq(spec, ",") {
		header, path, ok := strings.Cut(column, ":")
		if !ok {
			return nil, fmt.Errorf("custom-columns: column %q: want HEADER:PATH", column)
		}
		if err := c.add(header, path); err != nil {
			return nil, fmt.Errorf("custom-columns: %w", err)
		}
	}
	return c, nil
}

// ParseColumnsFile reads a line of headers and a line of as many paths, with spaces
// between.
func ParseColumnsFile(text []byte) (*Columns, error) {
	lines := strings.SplitN(string(text), "\n", 3)
	if len(lines) < 2 {
		return nil, errors.New("custom-columns-file: want a line of headers and a line of paths")
	}
	headers, paths := strings.Fields(lines[0]), strings.Fields(lines[1])
	if len(headers) != len(paths) || len(headers) == 0 {
		return nil, fmt.Errorf("custom-columns-file: it has %s and %s: want as many", count(len(headers), "header"), count(len(paths), "path"))
	}
	c := new(Columns)
	for i, header := range headers {
		if err := c.add(header, paths[i]); err != nil {
			return nil, fmt.Errorf("custom-columns-file: %w", err)
		}
	}
	return c, nil
}

func (c *Columns) add(header, path string) error {
	inner, braced := strings.CutPrefix(path, "{")
	if braced {
		inner, braced = strings.CutSuffix(inner, "}")
		if !braced {
			inner = ""
		}
	}
	inner = strings.TrimPrefix(inner, ".")
	if inner == "" || strings.ContainsAny(inner, "{}") {
		return fmt.Errorf("column %q: path %q: want one such as .source.pod", header, path)
	}
	parsed := jsonpath.New(header).AllowMissingKeys(true)
	if err := parsed.Parse("{." + inner + "}"); err != nil {
		return fmt.Errorf("column %q: path %q: %w", header, path, err)
	}
	c.headers, c.paths = append(c.headers, header), append(c.paths, parsed)
	return nil
}

// WithoutHeaders returns a printer that leaves out the headers.
func (c *Columns) WithoutHeaders() printers.ResourcePrinter {
	out := *c
	out.noHeaders = true
	return &out
}

// PrintObj implements printers.ResourcePrinter.
func (c *Columns) PrintObj(obj runtime.Object, w io.Writer) error {
	text, err := json.Marshal(obj)
	if err != nil {
		return err
	}
	var object map[string]any
	if err := utiljson.Unmarshal(text, &object); err != nil {
		return err
	}
	rows := []any{object}
	for _, list := range []string{"items", "checks"} {
		if items, ok := object[list].([]any); ok {
			rows = items
		}
	}
	tab := printers.GetNewTabWriter(w)
	out := &output{Writer: tab}
	if !c.noHeaders {
		out.printf("%s\n", strings.Join(c.headers, "\t"))
	}
	for _, row := range rows {
		cells := make([]string, len(c.paths))
		for i, path := range c.paths {
			if cells[i], err = cell(path, row); err != nil {
				return fmt.Errorf("column %q: %w", c.headers[i], err)
			}
		}
		out.printf("%s\n", strings.Join(cells, "\t"))
	}
	if out.err != nil {
		return out.err
	}
	return tab.Flush()
}

// cell is what a path finds in a row: values with commas between.
func cell(path *jsonpath.JSONPath, row any) (string, error) {
	found, err := path.FindResults(row)
	if err != nil {
		return "", err
	}
	var texts []string
	for _, values := range found {
		for _, v := range values {
			texts = append(texts, terminal.Escape(fmt.Sprint(v.Interface())))
		}
	}
	if len(texts) == 0 {
		return "<none>", nil
	}
	return strings.Join(texts, ","), nil
}
