package main

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
)

func writeArchs(out string, x *xsys) error {
	consts, err := x.consts("zerrors_linux.go")
	if err != nil {
		return err
	}
	var b bytes.Buffer
	b.WriteString("var auditArchs = []auditArch{\n")
	for _, name := range slices.Sorted(maps.Keys(consts)) {
		if strings.HasPrefix(name, "AUDIT_ARCH_") {
			fmt.Fprintf(&b, "{%#x, %q},\n", consts[name], name)
		}
	}
	b.WriteString("}\n")
	return writeGo(out, "archs_generated.go", b.Bytes())
}
