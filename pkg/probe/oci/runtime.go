package oci

import (
	"encoding/json"
	"strings"
)

// maxOptions is how long the files beside a bundle's configuration may be that
// name the runtime.
const maxOptions = 64 << 10

// shimRuntime returns the program of the runtime that a bundle's shim starts,
// given what reads a file of the bundle. Shims of runc write what they were told
// into options.json (containerd.runc.v1.Options as JSON) and the name of the
// program into the file runtime; neither names it if it is runc and to be found
// in PATH.
func shimRuntime(read func(name string) ([]byte, error)) string {
	const byDefault = "runc"
	known := false
	if text, err := read("options.json"); err == nil {
		var options struct {
			BinaryName string `json:"binary_name"`
			// As earlier ones wrote it.
			Binary string `json:"BinaryName"`
		}
		if json.Unmarshal(text, &options) == nil {
			if options.BinaryName != "" {
				return options.BinaryName
			}
			if options.Binary != "" {
				return options.Binary
			}
			known = true
		}
	}
	if text, err := read("runtime"); err == nil {
		if name := strings.TrimSpace(string(text)); name != "" {
			return name
		}
		known = true
	}
	if known {
		return byDefault
	}
	return ""
}
