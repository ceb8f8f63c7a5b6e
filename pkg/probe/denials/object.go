package denials

import (
	_ "embed" // the objects
)

// The program is compiled for machines of either byte order, and both objects are
// kept: neither a build of the probe nor a node needs a compiler. An object holds
// the hash of the sources that it was compiled from, in a section of its own, and
// a test holds it against them.

//go:generate program/generate.sh

//go:embed program/denials_bpfel.o
var littleEndian []byte

//go:embed program/denials_bpfeb.o
var bigEndian []byte
