package printer

import (
	"encoding/json"
	"io"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/printers"
)

// Lines prints each object as JSON on one line (NDJSON), as a stream of them is read.
type Lines struct{}

var _ printers.ResourcePrinter = Lines{}

// PrintObj implements printers.ResourcePrinter.
func (Lines) PrintObj(obj runtime.Object, w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(obj)
}
