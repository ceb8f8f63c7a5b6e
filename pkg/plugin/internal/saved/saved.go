// Package saved reads files that a command printed with -o json or -o yaml before,
// and others that users name. What is in them is anybody's: its size is bounded, and
// its text is escaped.
package saved

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"

	"sigs.k8s.io/yaml"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/terminal"
)

// ErrVersion is a saved object of an API version that this build does not know.
var ErrVersion = errors.New("unknown API version")

// Read reads a file, or standard input for "-", of at most max bytes. One that is
// longer, or empty, is an error.
func Read(file string, stdin io.Reader, max int64) ([]byte, error) {
	in := stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err // names the file and what was attempted
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, max+1))
	switch {
	case err != nil && file == "-":
		return nil, fmt.Errorf("read standard input: %w", err)
	case err != nil:
		return nil, err
	case int64(len(data)) > max:
		return nil, fmt.Errorf("read %s: it is larger than the %d bytes that there can be to it", Label(file), max)
	case len(data) == 0:
		return nil, fmt.Errorf("read %s: it is empty", Label(file))
	}
	return data, nil
}

// Label is how messages call a file.
func Label(file string) string {
	if file == "-" {
		return "standard input"
	}
	return file
}

// Unmarshal reads JSON or YAML. An error about JSON tells the line.
func Unmarshal(data []byte, v any) error {
	if !bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		return yaml.Unmarshal(data, v)
	}
	err := json.Unmarshal(data, v)
	offset := int64(-1)
	var kind *json.UnmarshalTypeError
	var corrupt *json.SyntaxError
	switch {
	case errors.As(err, &kind):
		offset = kind.Offset
		err = fmt.Errorf("%s: want %s, not %s", kind.Field, kind.Type, kind.Value)
	case errors.As(err, &corrupt):
		offset = corrupt.Offset
	}
	if offset >= 0 && offset <= int64(len(data)) {
		return fmt.Errorf("line %d: %w", 1+bytes.Count(data[:offset], []byte("\n")), err)
	}
	return err
}

// Escape makes all text in what a pointer points to fit for a terminal.
func Escape(pointer any) { escape(reflect.ValueOf(pointer)) }

func escape(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			escape(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				escape(v.Field(i))
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return
		}
		for i := range v.Len() {
			escape(v.Index(i))
		}
	case reflect.String:
		v.SetString(terminal.Escape(v.String()))
	}
}
