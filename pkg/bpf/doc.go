// Package bpf has the classic BPF of seccomp: it decodes a filter, checks it as
// the kernel would, runs it, and disassembles it.
//
// What is exact, and against what it is held:
//
//   - [Filter.Check] accepts what bpf_check_classic (net/core/filter.c) and
//     seccomp_check_filter (kernel/seccomp.c) accept. A test has a running kernel
//     judge every opcode and random programs.
//   - [Filter.Run] executes all 41 operations that pass, as the kernel does,
//     and records which words of struct seccomp_data were read. A test installs
//     random programs and makes the calls.
//   - [Stack.Run] evaluates all filters of a thread and combines what they return
//     as seccomp_run_filters does, and [Return.Normalize] as __seccomp_filter
//     acts on it. A test makes a kernel combine every pair of actions, and random
//     stacks.
//
// Two things are the kernel's and no filter's, and so are not modelled: a few
// system calls pass any filter (uretprobe, Linux 6.14, and uprobe, 6.18, on
// x86-64), and a shift by X of 32 or more is left to each architecture's JIT
// compiler: here it is modulo 32, as x86 and arm64 have it.
//
// A filter lies in memory, and sees struct seccomp_data, in the byte order of
// its machine. Where that matters it is an argument, so that the filters of an
// s390x node can be read on any other machine.
package bpf
