package record

import (
	_ "embed" // the objects
)

// The program is compiled for machines of either byte order, and both objects are
// kept: neither a build of the probe nor a node needs a compiler. An object holds
// the hash of the source that it was compiled from, in a section of its own, and
// a test holds it against the source.

//go:generate program/generate.sh

//go:embed program/record_bpfel.o
var littleEndian []byte

//go:embed program/record_bpfeb.o
var bigEndian []byte
