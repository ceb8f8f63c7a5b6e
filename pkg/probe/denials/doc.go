// Package denials tells of each system call of containers that their seccomp filters
// did not simply allow, as it happens: which call by which thread, and under which
// filters.
//
// # How one is known
//
// The kernel tells nobody of a call that ERRNO refuses, and most auditing begins
// where a call does, which is after seccomp. But a refused call comes back: by the
// tracepoint at the end of calls (sys_exit), without that at their beginning
// (sys_enter). So each thread is marked while it is in a call, and one that comes
// back unmarked was refused. A call that fails by the kernel's own checks had begun,
// and is none.
//
//	ERRNO         comes back with the errno
//	TRAP          the same, and the thread gets SIGSYS with si_code SYS_SECCOMP
//	              (signal_generate); what comes back is the call's own number
//	KILL_PROCESS  as TRAP, and so is KILL_THREAD where there is but one thread
//	KILL_THREAD   the thread ends (sched_process_exit) with the status of a SIGSYS
//	              that it never got
//	USER_NOTIF,   come back with what the supervisor or the tracer has put there, or
//	TRACE         ENOSYS if there is none
//
// Where a supervisor or a tracer lets the call go on, and where LOG does, the call
// begins like any other. For those the probe says which numbers a stack of filters
// may log or hand on, and where such a call begins its arguments are looked at.
//
// # Which filters
//
// The program copies the stack of filters that a thread holds out of the kernel's
// memory (CONFIG_CHECKPOINT_RESTORE keeps them as they were installed), once for each
// stack, at the moment at which the thread has it: so it is exact also for a process
// that installs a filter and dies of it, and nothing is stopped. Stacks are known by
// their newest filter's address; as the kernel uses memory again, one that a thread
// comes back from installing is forgotten, and what is known of an address holds only
// while the rest is the same.
//
// What each call was refused for, the filters say: they are run with it. Here that
// only sorts out what was no refusal; what is shown is worked out by who reads it.
//
// # Who made it
//
// A runtime that brings a process into a container (kubectl exec, a probe of
// kubelet's) makes calls in the container's cgroup, and under its filters, before it
// executes the container's program. They are told of as the runtime's. What was in
// the container at the beginning is the workload; a thread that one of the workload
// makes is, too; and any other becomes so by executing a program in the container's
// mount namespace.
//
// # What is left out
//
// Of calls of one kind (container, ABI, number, how they ended) at most [perSecond]
// are told of in a second, and [perKind] in all; others are counted. A thread that
// KILL_THREAD ends while its whole process ends is not seen. A call that was under way
// when this began, and that the filters hand to a supervisor, is unclear. All that is
// lost is counted and said.
//
// The kernel must be 5.15 or later and describe its structures (BTF). Nothing is
// pinned: the program is gone from the kernel when its process ends in whatever way.
package denials
