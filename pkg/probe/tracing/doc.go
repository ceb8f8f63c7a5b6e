// Package tracing has what BPF programs have in common that look at the system
// calls of containers: which of the node's containers there are and in which cgroup
// each is, how a program is fitted to the running kernel, and where the kernel keeps
// what a call was made with. containers.h is the part of it that runs in the kernel.
//
// A container is its cgroup and those below it: so the containers of a pod, pods
// that share the node's namespaces, and replicas do not mix. The cgroup is that of
// version 2, or of a controller of version 1 where containers are in hierarchies of
// that; it is found by a process that is in it.
package tracing
