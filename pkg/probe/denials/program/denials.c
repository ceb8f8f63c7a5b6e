// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0

// What runs in the kernel while refused system calls are looked for. See ../doc.go
// for how one is known; generate.sh compiles it.

#include "../../tracing/containers.h"

#define SIGSYS 31
#define SYS_SECCOMP 1             // si_code, of include/uapi/asm-generic/siginfo.h
#define SECCOMP_MODE_FILTER 2
#define SECCOMP_MODE_DEAD 3       // from KILL on, of kernel/seccomp.c
#define SECCOMP_SET_MODE_FILTER 1
#define PR_SET_SECCOMP 22
#define SIGNAL_GROUP_EXIT 0x4     // of include/linux/sched/signal.h
#define MAX_ERRNO 4095

struct kernel_siginfo {
	int si_errno;
	int si_code;
} KERNEL;

// Records of the ring buffer. They are ../event.go's.
#define EVENT 1
#define CHUNK 2

// How a call is known. They are ../event.go's.
#define RETURNED 1 // it came back without having begun
#define ENDED 2    // its thread did not come back
#define BEGAN 3    // it has begun, and the filters may have had something to say of it

// Flags of an event.
#define FIRST 1  // the call may have begun before this program did
#define SIGNAL 2 // the thread got SIGSYS for it
#define RUNTIME 4 // a runtime made it that was bringing a process into the container

struct event {
	__u32 type;
	__u32 slot;
	__u64 time; // by CLOCK_MONOTONIC, in nanoseconds
	__u64 arguments[6];
	__u64 pointer; // of instructions
	__s64 ret;
	__u64 held; // how many like this one were only counted since the last
	__u32 pid, tid, inner_pid, inner_tid; // inner: in the thread's own PID namespace
	__u32 nr;
	__u32 stack; // of filters, 0 if it could not be copied
	__u32 depth; // of the stack: how many filters
	__u8 how;
	__u8 flags;
	__u8 abi;
	__u8 unused;
	char comm[16];   // of the thread
	char leader[16]; // of its process' main thread
};

#define CHUNK_LENGTH 256 // instructions
// Of a stack. The longest that the kernel takes (MAX_INSNS_PER_PATH) has 128, and up to one
// more for each of its filters; verifiers follow each, of a million steps at the most.
#define MAX_CHUNKS 160

// A part of a filter. The newest comes first.
struct chunk {
	__u32 type;
	__u32 stack;
	__u16 offset; // of the part, in instructions
	__u16 length; // of the whole filter
	__u8 log;     // it was installed with SECCOMP_FILTER_FLAG_LOG
	__u8 last;    // the part is the last of the stack
	__u16 unused;
	__u8 code[CHUNK_LENGTH * 8];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 21);
} events SEC(".maps");

// Set before the program is loaded.
volatile const __u32 seccomp_number[ABIS]; // of seccomp(2)
volatile const __u32 prctl_number[ABIS];
volatile const __u32 limit;                // of events of one kind in a second

// Set while it runs.
__u32 watching;
__u64 began; // when watching was set, by CLOCK_MONOTONIC
__u32 stacks_copied;

// What is lost, by container.
struct lost {
	__u64 events; // there was no room to tell of
	__u64 kinds;  // the same, as there are too many of different kinds
	__u64 stacks; // that could not be copied
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct lost);
	__uint(max_entries, MAX_SLOTS);
} losses SEC(".maps");

// What a stack may do beside to refuse and to allow.
#define UNKNOWN 0   // nobody has looked yet
#define NOTHING 1
#define SOMETHING 2 // that and more: with calls that are in watched, 2 less being where

// What is known of a thread.
struct thread {
	__u64 cgroup; // where it last began a call, and the container of that
	__u64 filter; // the newest that it was seen with
	__u32 slot;
	__u32 stack; // its number, 0 if it was not copied yet
	__u32 may;   // what its stack may
	__u8 in_call;
	__u8 new;    // it has not come back from the call that made it
	__u8 signal; // it gets SIGSYS for the call that it is refused
	__u8 workload; // what it does is the container's, not a runtime's
	__u32 offset; // of copy: in memory, where the verifier does not follow each value
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct thread);
} threads SEC(".maps");

// Stacks that were copied, by their newest filter. The kernel may use its memory
// again for another filter: one that is installed is forgotten (see installed), and
// the rest must be the same, too.
struct stack {
	__u64 prev, prog;
	__u32 depth;
	__u32 number;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, __u64);
	__type(value, struct stack);
	__uint(max_entries, 2048);
} stacks SEC(".maps");

// By a stack's number, what it may.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 4096);
} may SEC(".maps");

// Numbers beyond the last are of one kind: a container must not be able to fill the
// map with them.
#define NUMBERS 1024
#define OTHER 0xffffffff

// Calls that a stack may log, or hand to a tracer or a supervisor: a bit for each
// number below NUMBERS. Of others, which no syscall has, any may be.
#define WATCHED 256
struct watch {
	__u64 numbers[ABIS][NUMBERS / 64];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct watch);
	__uint(max_entries, WATCHED);
} watched SEC(".maps");

// Of one kind, no more than limit are told of in a second.
struct kind {
	__u16 slot;
	__u8 abi;
	__u8 how;
	__u32 nr;
	__s32 ret; // an errno below 0, 0, 1 for any other result, 2 for SIGSYS
};

struct rate {
	__u64 began;
	__u64 held; // only counted since the last that was told of
	__u32 told;
	__u32 unused;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct kind);
	__type(value, struct rate);
	__uint(max_entries, 8192);
} rates SEC(".maps");

#define COUNT(number, member)                                                 \
	do {                                                                  \
		__u32 index = (number);                                       \
		struct lost *l = bpf_map_lookup_elem(&losses, &index);        \
		if (l)                                                        \
			__sync_fetch_and_add(&l->member, 1);                  \
	} while (0)

// What follows, up to tell, is about the current task. These functions are global so
// that the verifier looks at each once, and not wherever it is called.

// copy copies the stack of filters, and returns its new number; 0 if that cannot be.
__noinline int copy(__u32 slot)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread *thread = bpf_task_storage_get(&threads, task, 0, 0);
	if (!thread)
		return 0;
	struct seccomp_filter *filter = task->seccomp.filter;
	__u32 number = __sync_fetch_and_add(&stacks_copied, 1) + 1;

	thread->offset = 0;
	for (int i = 0; i < MAX_CHUNKS && filter; i++) {
		struct sock_fprog_kern *program = BPF_CORE_READ(filter, prog, orig_prog);
		if (!program)
			break;
		__u32 length = BPF_CORE_READ(program, len), offset = thread->offset;
		void *code = BPF_CORE_READ(program, filter);
		struct chunk *c = bpf_ringbuf_reserve(&events, sizeof(*c), 0);
		if (!c)
			break;
		c->type = CHUNK;
		c->stack = number;
		c->offset = offset;
		c->length = length;
		c->log = BPF_CORE_READ(filter, log);
		c->unused = 0;
		__u32 n = length - offset;
		if (n <= CHUNK_LENGTH) {
			bpf_probe_read_kernel(c->code, n * 8, code + offset * 8);
			filter = BPF_CORE_READ(filter, prev);
			thread->offset = 0;
		} else {
			bpf_probe_read_kernel(c->code, sizeof(c->code), code + offset * 8);
			thread->offset = offset + CHUNK_LENGTH;
		}
		c->last = !filter;
		bpf_ringbuf_submit(c, 0);
	}
	if (!filter)
		return number;
	COUNT(slot, stacks);
	return 0;
}

// stack_of returns the number of the stack of filters, 0 if it cannot be copied.
__noinline int stack_of(__u32 slot)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread *thread = bpf_task_storage_get(&threads, task, 0, 0);
	__u64 filter = (__u64)task->seccomp.filter;
	if (!thread) {
		COUNT(slot, stacks);
		return 0;
	}
	// A thread that ends has none any more, since Linux 6.11: what it had when it
	// began its last call will do, if there are as many.
	if (!filter)
		return thread->stack;
	if (thread->filter == filter && thread->stack)
		return thread->stack;

	struct stack now = {
		.prev = (__u64)BPF_CORE_READ(task, seccomp.filter, prev),
		.prog = (__u64)BPF_CORE_READ(task, seccomp.filter, prog),
	};
	if (bpf_core_field_exists(task->seccomp.filter_count))
		now.depth = task->seccomp.filter_count.counter;
	struct stack *known = bpf_map_lookup_elem(&stacks, &filter);
	if (known && known->prev == now.prev && known->prog == now.prog && known->depth == now.depth) {
		now.number = known->number;
	} else {
		now.number = copy(slot);
		if (now.number)
			bpf_map_update_elem(&stacks, &filter, &now, BPF_ANY);
	}
	thread->filter = filter;
	thread->stack = now.number;
	thread->may = UNKNOWN;
	return now.number;
}

// thread_of returns what is known of a thread, and makes it known; 0 if that cannot
// be. What was there before this program is the workload. Later a thread is by its
// origin: see on_fork and on_exec.
static __always_inline struct thread *thread_of(struct task_struct *task)
{
	struct thread *thread = bpf_task_storage_get(&threads, task, 0, 0);
	if (thread)
		return thread;
	thread = bpf_task_storage_get(&threads, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (thread && task->start_time < began)
		thread->workload = 1;
	return thread;
}

static __always_inline int filtered(struct task_struct *task)
{
	return task->seccomp.mode == SECCOMP_MODE_FILTER || task->seccomp.mode == SECCOMP_MODE_DEAD;
}

static __always_inline __u64 argument(__u64 regs, __u32 abi, __u32 i)
{
	__u64 value = 0;
	if (abi >= ABIS)
		return 0;
	bpf_probe_read_kernel(&value, sizeof(value), (void *)(regs + argument_offset[abi][i & 7]));
	return value;
}

// pass reports whether an event is to be told of, of those of its kind most in a second,
// and how many before it were not.
static __always_inline int pass(const struct kind *kind, __u64 now, __u32 most, __u64 *held)
{
	struct rate *r = bpf_map_lookup_elem(&rates, kind);
	if (!r) {
		struct rate first = {.began = now};
		bpf_map_update_elem(&rates, kind, &first, BPF_NOEXIST);
		r = bpf_map_lookup_elem(&rates, kind);
		if (!r) {
			COUNT(kind->slot, kinds);
			return 0;
		}
	}
	if (now - r->began >= 1000000000) {
		r->began = now;
		r->told = 0;
	}
	if (__sync_fetch_and_add(&r->told, 1) >= most) {
		__sync_fetch_and_add(&r->held, 1);
		return 0;
	}
	*held = __sync_lock_test_and_set(&r->held, 0);
	return 1;
}

// A call that is to be told of.
struct call {
	__u64 regs; // the thread's registers as it made the call
	__s64 ret;
	__u32 slot, nr, how, flags;
};

// tell writes an event.
__noinline int tell(const struct call *call)
{
	if (!call)
		return 0;
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 regs = call->regs;
	__s64 ret = call->ret;
	__u32 slot = call->slot, nr = call->nr, how = call->how, flags = call->flags;
	__u32 abi = abi_of(task, nr);
	__u64 now = bpf_ktime_get_ns(), held = 0;
	__u32 plain = abi == X32 ? nr & ~X32_BIT : nr;
	struct kind kind = {.slot = slot, .abi = abi, .how = how, .nr = plain < NUMBERS ? plain : OTHER};
	if (flags & SIGNAL)
		kind.ret = 2;
	else
		kind.ret = ret > 0 || ret < -MAX_ERRNO ? 1 : ret;
	// What is FIRST is most often no refusal, and is so once in a thread: it is a kind
	// of its own, and never only counted.
	__u32 first = flags & FIRST;
	kind.how |= first << 7;
	if (!pass(&kind, now, limit | -first, &held))
		return 0;

	__u32 stack = stack_of(slot);
	struct event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		COUNT(slot, events);
		return 0;
	}
	e->type = EVENT;
	e->slot = slot;
	e->time = now;
	for (int i = 0; i < 6; i++)
		e->arguments[i] = argument(regs, abi, i);
	e->pointer = 0;
	bpf_probe_read_kernel(&e->pointer, sizeof(e->pointer), (void *)(regs + pointer_offset));
	e->ret = ret;
	e->held = held;
	struct task_struct *leader = task->group_leader;
	struct pid *tid = task->thread_pid, *pid = leader->thread_pid;
	e->pid = number_in(pid, pid_level);
	e->tid = number_in(tid, pid_level);
	e->inner_pid = pid ? number_in(pid, pid->level) : 0;
	e->inner_tid = tid ? number_in(tid, tid->level) : 0;
	e->nr = nr;
	e->stack = stack;
	e->depth = 0;
	if (bpf_core_field_exists(task->seccomp.filter_count))
		e->depth = task->seccomp.filter_count.counter;
	e->how = how;
	e->flags = flags;
	struct thread *thread = bpf_task_storage_get(&threads, task, 0, 0);
	if (thread && !thread->workload)
		e->flags |= RUNTIME;
	e->abi = abi;
	e->unused = 0;
	bpf_probe_read_kernel(e->comm, sizeof(e->comm), task->comm);
	bpf_probe_read_kernel(e->leader, sizeof(e->leader), leader->comm);
	bpf_ringbuf_submit(e, 0);
	return 0;
}

// allowed reports whether the kernel knows by itself that a stack allows a call
// whatever its arguments are.
static __always_inline int allowed(struct task_struct *task, __u32 abi, __u32 nr)
{
	struct seccomp_filter *filter = task->seccomp.filter;
	if (abi != NATIVE || nr >= 512 || !bpf_core_field_exists(filter->cache.allow_native))
		return 0;
	__u64 word = 0;
	bpf_probe_read_kernel(&word, sizeof(word), (void *)&filter->cache.allow_native + nr / 64 * 8);
	return word >> (nr & 63) & 1;
}

// watches reports whether a call is one that a stack may have logged.
static __always_inline int watches(__u32 index, __u32 abi, __u32 nr)
{
	struct watch *w = bpf_map_lookup_elem(&watched, &index);
	if (!w || abi >= ABIS)
		return 0;
	if (abi == X32)
		nr &= ~X32_BIT;
	if (nr >= NUMBERS)
		return 1;
	return w->numbers[abi][nr / 64] >> (nr & 63) & 1;
}

// A call begins. The kernel comes here after seccomp: what a filter refuses does
// not get here.
SEC("tp_btf/sys_enter")
int on_enter(__u64 *ctx)
{
	if (!watching)
		return 0;
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread *thread = bpf_task_storage_get(&threads, task, 0, 0);
	__u64 cgroup = cgroup_of(task)->kn->id;
	__u32 slot = thread && thread->cgroup == cgroup ? thread->slot : slot_of(task);
	if (!slot)
		return 0;
	if (!thread)
		thread = thread_of(task);
	if (!thread)
		return 0; // what it comes back from is FIRST
	thread->cgroup = cgroup;
	thread->slot = slot;
	thread->in_call = 1;
	thread->new = 0;
	if (task->seccomp.mode != SECCOMP_MODE_FILTER)
		return 0;
	if (thread->filter == (__u64)task->seccomp.filter && thread->may == NOTHING)
		return 0;

	__u32 stack = stack_of(slot);
	if (!stack) {
		// It is known to be lost; not to be tried at each call.
		thread->may = NOTHING;
		return 0;
	}
	__u32 *what = bpf_map_lookup_elem(&may, &stack);
	thread->may = what ? *what : UNKNOWN;
	if (thread->may == NOTHING)
		return 0;
	__u32 nr = ctx[1], abi = abi_of(task, nr);
	if (thread->may == UNKNOWN ? allowed(task, abi, nr) : !watches(thread->may - SOMETHING, abi, nr))
		return 0;
	struct call call = {.regs = ctx[0], .slot = slot, .nr = nr, .how = BEGAN};
	return tell(&call);
}

static __always_inline __u32 number(__u64 regs)
{
	__u32 nr = OTHER;
	bpf_probe_read_kernel(&nr, sizeof(nr), (void *)(regs + number_offset));
	return nr;
}

// installed forgets what was known of the stack of a task that comes back from
// having installed a filter.
static __always_inline void installed(struct task_struct *task, __u64 regs, __s64 ret)
{
	if (ret < 0 || task->seccomp.mode != SECCOMP_MODE_FILTER)
		return;
	__u32 nr = number(regs), abi = abi_of(task, nr);
	if (abi >= ABIS)
		return;
	if ((nr == seccomp_number[abi] && (__u32)argument(regs, abi, 0) == SECCOMP_SET_MODE_FILTER) ||
	    (nr == prctl_number[abi] && (__u32)argument(regs, abi, 0) == PR_SET_SECCOMP)) {
		__u64 filter = (__u64)task->seccomp.filter;
		bpf_map_delete_elem(&stacks, &filter);
	}
}

// A call comes back. One that a filter refused does without having begun.
SEC("tp_btf/sys_exit")
int on_exit(__u64 *ctx)
{
	if (!watching)
		return 0;
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread *thread = bpf_task_storage_get(&threads, task, 0, 0);
	__u64 regs = ctx[0];
	__s64 ret = ctx[1];
	if (thread && thread->in_call) {
		thread->in_call = 0;
		installed(task, regs, ret);
		return 0;
	}
	if (!filtered(task))
		return 0;
	__u32 slot = slot_of(task);
	if (!slot) {
		installed(task, regs, ret);
		return 0;
	}
	__u32 flags = 0;
	if (thread) {
		__u8 new = thread->new;
		thread->new = 0;
		// A new thread comes back, on some architectures, from the call that made
		// it.
		if (new && ret == 0)
			return 0;
		if (thread->signal)
			flags = SIGNAL;
		if (task->seccomp.mode == SECCOMP_MODE_FILTER)
			thread->signal = 0; // and is kept by what dies of it: see on_end
	} else {
		// The call may have begun before this program did.
		thread = thread_of(task);
		flags = FIRST;
	}
	struct call call = {.regs = regs, .ret = ret, .slot = slot, .nr = number(regs), .how = RETURNED, .flags = flags};
	return tell(&call);
}

// A thread gets a signal. That of a call which a filter refuses is its own.
SEC("tp_btf/signal_generate")
int on_signal(__u64 *ctx)
{
	if (!watching || (int)ctx[0] != SIGSYS)
		return 0;
	struct task_struct *task = bpf_get_current_task_btf();
	struct kernel_siginfo *info = (void *)ctx[1];
	if ((__u64)task != ctx[2] || (__u64)info <= 1 || !filtered(task))
		return 0;
	// What a thread sends itself it sends by a call that has begun.
	if (BPF_CORE_READ(info, si_code) != SYS_SECCOMP || !slot_of(task))
		return 0;
	struct thread *thread = thread_of(task);
	if (thread && !thread->in_call)
		thread->signal = 1;
	return 0;
}

// What a thread makes comes back once without having begun a call.
SEC("tp_btf/sched_process_fork")
int on_fork(__u64 *ctx)
{
	if (!watching)
		return 0;
	struct task_struct *child = (void *)ctx[1];
	if (!slot_of(bpf_get_current_task_btf()))
		return 0;
	struct thread *from = thread_of(bpf_get_current_task_btf());
	struct thread *thread = bpf_task_storage_get(&threads, child, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!thread)
		return 0;
	thread->new = 1;
	if (from) {
		// It is in a call, also if that began before this program did.
		from->in_call = 1;
		thread->filter = from->filter;
		thread->stack = from->stack;
		thread->may = from->may;
		thread->workload = from->workload;
	}
	return 0;
}

// A runtime that brings a process into a container (kubectl exec) does so from
// outside: it is one more process of the container's cgroup, and becomes the
// workload by the program that it executes in the container's mount namespace.
SEC("tp_btf/sched_process_exec")
int on_exec(__u64 *ctx)
{
	if (!watching)
		return 0;
	struct task_struct *task = bpf_get_current_task_btf();
	__u32 slot = slot_of(task);
	if (!slot)
		return 0;
	__u32 *mnt_ns = bpf_map_lookup_elem(&found, &slot);
	if (!mnt_ns || task->nsproxy->mnt_ns->ns.inum != *mnt_ns)
		return 0;
	struct thread *thread = thread_of(task);
	if (thread) {
		thread->in_call = 1; // as in on_fork
		thread->workload = 1;
	}
	return 0;
}

// KILL_THREAD ends a thread of several with no signal and no way back. Of a process
// that is ended, the thread that was refused a call has come back before.
SEC("tp_btf/sched_process_exit")
int on_end(__u64 *ctx)
{
	if (!watching)
		return 0;
	struct task_struct *task = bpf_get_current_task_btf();
	if (!filtered(task) || task->exit_code != SIGSYS)
		return 0;
	__u32 slot = slot_of(task);
	if (!slot)
		return 0;
	struct thread *thread = thread_of(task);
	if (!thread || thread->in_call || thread->signal)
		return 0;
	// Kernels before 5.17 do not tell who is killed by seccomp.
	if (task->seccomp.mode != SECCOMP_MODE_DEAD && task->signal->flags & SIGNAL_GROUP_EXIT)
		return 0;
	__u64 regs = bpf_task_pt_regs(task);
	struct call call = {.regs = regs, .slot = slot, .nr = number(regs), .how = ENDED};
	return tell(&call);
}

char LICENSE[] SEC("license") = "GPL";

// The sources' hash, by which an object tells what it was compiled from.
char SOURCE_HASH[] SEC("source") = SOURCE;
