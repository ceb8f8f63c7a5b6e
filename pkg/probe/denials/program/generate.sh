#!/bin/sh
# Compiles denials.c for both byte orders, as record's generate.sh does its own.
set -eu
cd "$(dirname "$0")"
clang=${CLANG:-clang}
strip=${LLVM_STRIP:-llvm-strip}
# Debian has the architecture's asm/ headers in a folder of its own.
include=$(dirname "$(find /usr/include -path '*/asm/types.h' | head -n 1)")/..
source=$(cat ../../tracing/containers.h denials.c | sha256sum | cut -d ' ' -f 1)
for target in bpfel bpfeb; do
	"$clang" -O2 -g -fdebug-compilation-dir=. -target $target -mcpu=v3 -Wall -Werror \
		-I"$include" -DSOURCE="\"$source\"" -c denials.c -o denials_$target.o
	"$strip" -g denials_$target.o # DWARF goes, BTF stays
done
