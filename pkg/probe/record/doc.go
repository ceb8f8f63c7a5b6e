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
// # What filters refuse
//
// A call that a filter refuses never begins. But it comes back, by the tracepoint
// at its end; so each thread is marked while it is in a call, and one that comes
// back unmarked was refused. Three things look the same, and are told apart: a
// call that had begun before the recording did, which only the first that a thread
// comes back from can be; the way back of a new thread from the call that made it;
// and threads without a filter. A thread that a filter kills does not always come
// back (KILL_THREAD in a process that has others): that is not seen here.
//
// # Who made them
//
// A runtime that brings a process into a container (kubectl exec, a probe of
// kubelet's) makes calls in the container's cgroup before it executes the
// container's program. They are counted apart. What was in the container when the
// recording began is the workload; a thread that one of the workload makes is,
// too; and any other becomes so by executing a program in the container's mount
// namespace.
//
// # What it costs
//
// A process outside of the containers pays for one look at its cgroup at each
// call, and no more. Nothing is pinned: the program is gone from the kernel when
// the recorder is closed, or its process ends in whatever way.
//
// The kernel must be 5.12 or later and describe its structures (BTF), which the
// program is fitted to when it is loaded.
package record
