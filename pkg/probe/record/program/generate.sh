#!/bin/sh
# Compiles record.c for both byte orders. It needs clang, llvm-strip and libbpf's
# headers: on Debian clang, llvm and libbpf-dev. The same source gives the same bytes in
# any folder.
set -eu
cd "$(dirname "$0")"
clang=${CLANG:-clang}
strip=${LLVM_STRIP:-llvm-strip}
# Debian has the architecture's asm/ headers in a folder of its own.
include=$(dirname "$(find /usr/include -path '*/asm/types.h' | head -n 1)")/..
for target in bpfel bpfeb; do
	"$clang" -O2 -g -fdebug-compilation-dir=. -target $target -mcpu=v3 -Wall -Werror \
		-I"$include" -DSOURCE="\"$(sha256sum <record.c | cut -d ' ' -f 1)\"" \
		-c record.c -o record_$target.o
	"$strip" -g record_$target.o # DWARF goes, BTF stays
done
