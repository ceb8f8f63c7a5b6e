// Package policy tells exactly what a stack of seccomp filters means, and how
// two stacks differ.
package policy
