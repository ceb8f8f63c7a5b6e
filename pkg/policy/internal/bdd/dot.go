package bdd

import (
	"fmt"
	"io"
)

// WriteDOT writes the diagram in Graphviz's language: the root first, the branch
// for 0 dashed. The names of levels and leaves are quoted as Go strings, of which
// plain ASCII ones mean the same to Graphviz.
func (d *Diagram) WriteDOT(w io.Writer, level func(int) string, leaf func(uint64) string) error {
	var err error
	printf := func(format string, args ...any) {
		if err == nil {
			_, err = fmt.Fprintf(w, format, args...)
		}
	}
	printf("digraph policy {\n")
	for i := len(d.nodes) - 1; i >= 0; i-- {
		n := d.nodes[i]
		if n.level == LeafLevel {
			printf("\tn%d [shape=box, label=%q];\n", i, leaf(n.value()))
			continue
		}
		printf("\tn%d [label=%q];\n", i, level(int(n.level)))
		printf("\tn%d -> n%d [style=dashed];\n\tn%d -> n%d;\n", i, n.lo, i, n.hi)
	}
	printf("}\n")
	return err
}
