// Command gen-schema writes the JSON Schema of what the plugin prints with -o json
// and -o yaml: docs/schema, from the Go types of an API version and their comments.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	types := flag.String("types", ".", "folder of the types' package, named for the API version")
	out := flag.String("out", "../../../docs/schema", "folder to write to")
	flag.Parse()
	if err := run(*types, *out); err != nil {
		fmt.Fprintln(os.Stderr, "gen-schema:", err)
		os.Exit(2)
	}
}

func run(types, out string) error {
	text, err := generate(types)
	if err != nil {
		return err
	}
	folder, err := filepath.Abs(types)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(out, filepath.Base(folder)+".json"), text, 0o644)
}
