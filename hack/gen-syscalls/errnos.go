package main

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
)

// errnoTables are the distinct numberings of errno among the ABIs, and the
// architecture of x/sys that each is taken from; those in same must equal it.
var errnoTables = []struct {
	name, goarch string
	same         []string
}{
	{"Generic", "amd64", []string{"386", "arm", "arm64", "loong64", "riscv64", "s390x"}},
	{"PPC", "ppc64le", []string{"ppc", "ppc64"}},
	{"MIPS", "mips64le", []string{"mips", "mips64", "mipsle"}},
}

func writeErrnos(out string, x *xsys) error {
	var b bytes.Buffer
	for _, t := range errnoTables {
		names, aliases, err := errnos(x, t.goarch)
		if err != nil {
			return err
		}
		for _, other := range t.same {
			n, a, err := errnos(x, other)
			if err != nil {
				return err
			}
			if !maps.Equal(n, names) || !maps.Equal(a, aliases) {
				return fmt.Errorf("errno: %s differs from %s", other, t.goarch)
			}
		}
		fmt.Fprintf(&b, "var errnos%s = errnoTable{\nnames: []errno{\n", t.name)
		for _, n := range slices.Sorted(maps.Keys(names)) {
			fmt.Fprintf(&b, "{%d, %q},\n", n, names[n])
		}
		b.WriteString("},\naliases: []errno{\n")
		for _, name := range slices.Sorted(maps.Keys(aliases)) {
			fmt.Fprintf(&b, "{%d, %q},\n", aliases[name], name)
		}
		b.WriteString("},\n}\n\n")
	}
	return writeGo(out, "errnos_generated.go", b.Bytes())
}

// errnos returns the name of every errno of an architecture, and the numbers
// of those names that are second ones.
func errnos(x *xsys, goarch string) (names map[uint64]string, aliases map[string]uint64, err error) {
	if names, err = x.errorList(goarch); err != nil {
		return nil, nil, err
	}
	aliases = make(map[string]uint64)
	for _, file := range []string{"zerrors_linux.go", "zerrors_linux_" + goarch + ".go"} {
		consts, err := x.converted(file, "Errno")
		if err != nil {
			return nil, nil, err
		}
		for name, n := range consts {
			if names[n] != name {
				aliases[name] = n
			}
		}
	}
	return names, aliases, nil
}
