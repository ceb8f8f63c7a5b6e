// Package policy tells exactly what a stack of seccomp filters means, and how
// two stacks differ.
//
// # What a policy is
//
// A seccomp filter is a program without loops that maps struct seccomp_data,
// 512 bits, to a return value; the kernel combines the values of all filters of
// a thread into one action. So a stack is a function of 512 bits, and a Policy
// is that function: not a summary of it, nor a sample.
//
// It is kept as a decision diagram (MTBDD): a graph that asks for one bit after
// another in a fixed order, without a question that makes no difference and
// without two equal sub-graphs, down to the action. For a fixed order of the
// bits each function has exactly one such diagram. Hence
//
//   - two stacks mean the same if their diagrams are the same, and the hash of
//     the diagram is a Policy.Fingerprint that is the same on every machine;
//   - how two policies differ is a diagram again, of pairs of actions: Compare
//     reads off it all calls for which they differ, and a call that shows it;
//   - whether one is at most as permissive as another is decided for all calls,
//     with Policy.AtMost;
//   - with the architecture and the number asked for first, what happens to a
//     number is one sub-diagram, and Policy.Partition needs no table of system
//     calls to find which numbers are treated alike.
//
// # How it is made
//
// Of runs the filters with values that are functions of the call: every bit of
// a register is a diagram, arithmetic is done with Boolean operations on them,
// as a circuit would, and a comparison joins the diagrams of its two branches.
// All 41 operations that seccomp allows are treated so. Filters from practice
// have some ten to a thousand different states of the machine and diagrams of
// a hundred to a few thousand nodes.
//
// The filters of a stack are combined from the newest to the oldest, the way
// seccomp_run_filters in kernel/seccomp.c does: an older one's value counts only
// if its action is strictly stronger. Actions that the kernel does not know are
// what it makes of them, but only after that.
//
// # What is exact
//
// Everything that is said is, with the exceptions named here.
//
// A filter can compute things whose diagram is too large, such as a product of
// two arguments. The construction has a budget; it counts nodes and not time,
// so that the same stack has the same result on every machine. If the budget
// does not suffice with the bits of the arguments one after the other
// (Sequential), they are interleaved, which suits filters that relate arguments
// to each other; what is too large even then is left unknown bit by bit, and
// system calls for which that matters are tried again by themselves. The calls
// whose action depends on what is left are Undecided. They are never called
// equal, nor guessed; everything else about the policy remains exact.
//
// A shift by 32 or more, which seccomp allows for a shift by X only, is taken
// modulo 32, as x86 and arm64 do it. Other architectures may differ.
//
// Lists are bounded: a filter can treat every other number differently, which
// makes 2^31 regions. Comparison.Truncated and Partition.Truncated say so; the
// Relation of two policies always is about all calls. What it takes to put conditions
// in words is bounded, too: those that come when it is used up are Wide.
//
// Two things about the kernel are not in the filters and not in the policy:
// USER_NOTIF without a listener and TRACE without a tracer act as
// ERRNO(ENOSYS); and on x86-64 some kernels exempt the calls uprobe and
// uretprobe from seccomp. Policy.LintOn points out where that matters on a kernel,
// besides other things that a reader may not expect.
//
// Names are presentation only. A Condition is in terms of what the kernel calls
// the arguments and their values; before it is returned, it is turned into a
// diagram again and has to be the same one. A Witness is run through the filters
// and has to do what it is to show. Failing either is an internal error, rather
// than output.
//
// # Two views
//
// As written, a policy is about whole 64-bit arguments, since that is what
// filters see. The kernel takes an int from the low 32 bits: a filter that
// denies the value 38 of 64 bits does not deny 38 with anything above it, and
// the kernel executes that. Policy.KernelView is the policy with all that the
// kernel ignores left to the caller.
//
// All of the package is deterministic and has no state of its own.
package policy
