// Package record counts the system calls of containers, by a BPF program that the
// kernel runs at the beginning and at the end of each call.
//
// # Which calls are counted
//
// Those of a container's cgroup and of the cgroups below it, and no others: so the
// containers of a pod, pods that share the node's namespaces, and replicas do not
// mix. The cgroup is that of version 2, or of a controller of version 1 where
// containers are in hierarchies of that; it is found by a process that is in it.
//
// A call is counted when it begins, which is after seccomp has let it pass, under
// the ABI by which it came in and its number. Counts are kept in the kernel, one
// for each processor, so that none is lost and processors do not wait for each
// other. At a number that no syscall has, calls count as [Other].
//
// # Containers that come meanwhile
//
// The kernel tells of each cgroup that is made (the tracepoint cgroup_mkdir). One
// that is named as runtimes name those of containers, and is in none of them, is
// given a place for its counts at once, before there can be a process in it: so
// nothing is missed of it, from its runtime's first call on. Whose container it is
// nobody on the node can say, without asking the API server: all that come are
// counted, and what is told of one is its ID and the counts, for whoever has asked
// to keep those that were meant. There is room for a bounded number; how many more
// came is told.
//
// # What filters refuse
//
// A call that a filter refuses never begins. But it comes back, by the tracepoint
// at its end; so each thread is marked while it is in a call, and one that comes
// back unmarked was refused. Three things look the same, and are told apart: a
// call that had begun before the recording did, which only the first that a thread
// comes back from can be; the way back of a new thread from the call that made it;
// and threads without a filter. A thread without one needs no mark at each call, but for
// one that says so: it can be given a filter while it is in a call. A thread that a
// filter kills does not always come back (KILL_THREAD in a process that has others):
// that is not seen here.
//
// # Who made them
//
// A runtime that brings a process into a container (kubectl exec, a probe of
// kubelet's) makes calls in the container's cgroup before it executes the
// container's program. They are counted apart. What was in the container when the
// recording began is the workload; a thread that one of the workload makes is,
// too; and any other becomes so by executing a program in the container's mount
// namespace. That of a container which came meanwhile is the first, other than its
// parent's, in which one of its processes executes a program.
//
// # What it costs
//
// The kernel's tracepoints at a call's beginning and end cost more than what runs
// there: see docs/record.md. A processor remembers which thread last came to it, so
// that one outside of the containers, or without a filter in them, is looked up only
// where another was there in between. Nothing is pinned: the program is gone from the kernel when
// the recorder is closed, or its process ends in whatever way.
//
// The kernel must be 5.12 or later and describe its structures (BTF), which the
// program is fitted to when it is loaded.
package record
