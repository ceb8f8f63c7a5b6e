// Package probe finds out, on a node, under which seccomp filters the threads of
// containers run, and tells it in the messages of package wire.
//
// # Which threads are stopped
//
// What /proc says of a thread's confinement is read without stopping it: the
// mode, the number of filters, no_new_privs, capabilities. Only to copy the
// filters must a thread be stopped, so that is done to as few as will do:
//
//   - none without filters;
//   - of the threads of one process that have the same number of filters and the
//     same no_new_privs, one. The others are presumed to have the same filters,
//     and how many that are is reported.
//
// The one is that which will notice the least (see [proc.Wait]), the main thread
// where others are no better. A thread inherits its filters from the one that
// made it and can only add to them, for itself or with
// SECCOMP_FILTER_FLAG_TSYNC for all. So threads with equal numbers differ only
// if two of them parted and then each installed its own, equally many. Programs
// do that rarely, and no runtime does it to a container; Request.AllThreads stops
// every thread and presumes nothing. Where the kernel does not tell the number
// (before 5.9), every thread is stopped in any case.
//
// Processes are read each by itself, whatever others have.
//
// # Bounds
//
// A container can have many processes and threads, each with filters of its own,
// that come and go and do not stop. Request bounds what is read of one, and the
// init processes of all targets are read before anything else of any, so that
// one container cannot keep the answer about another from being given. What was
// left out is a problem of the target's.
package probe
