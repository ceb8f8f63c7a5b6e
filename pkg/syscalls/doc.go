// Package syscalls knows the numbers, names, parameters and errors of Linux
// syscalls for every ABI that a seccomp filter can meet.
package syscalls
