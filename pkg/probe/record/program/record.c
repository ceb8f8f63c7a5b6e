// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0

// What runs in the kernel while system calls are recorded. See ../doc.go for what
// it counts and why that is exact; generate.sh compiles it.
//
// It is loaded with the layout of the running kernel (CO-RE): the structures
// below name the members that are used and nothing else of the kernel's.

#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#define KERNEL __attribute__((preserve_access_index))

struct kernfs_node {
	__u64 id;
	const char *name;
} KERNEL;

struct cgroup;
struct cgroup_root;

struct cgroup_subsys_state {
	struct cgroup *cgroup;
	struct cgroup_subsys_state *parent;
} KERNEL;

struct cgroup {
	struct cgroup_subsys_state self;
	struct kernfs_node *kn;
	struct cgroup_root *root; // of its hierarchy
} KERNEL;

// The kernel has fewer subsystems (enum cgroup_subsys_id); what counts is where
// the array begins.
struct css_set {
	struct cgroup_subsys_state *subsys[16];
	struct cgroup *dfl_cgrp;
} KERNEL;

struct ns_common {
	unsigned int inum;
} KERNEL;

struct mnt_namespace {
	struct ns_common ns;
} KERNEL;

struct nsproxy {
	struct mnt_namespace *mnt_ns;
} KERNEL;

struct upid {
	int nr;
} KERNEL;

struct pid {
	unsigned int level;
	struct upid numbers[1];
} KERNEL;

struct seccomp {
	int mode;
} KERNEL;

struct thread_info {
	unsigned long flags;
	__u32 status; // x86
} KERNEL;

struct task_struct {
	struct thread_info thread_info;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	__u64 start_time; // by CLOCK_MONOTONIC, in nanoseconds
	struct nsproxy *nsproxy;
	struct css_set *cgroups;
	struct seccomp seccomp;
} KERNEL;

struct bpf_iter__task {
	struct task_struct *task;
} KERNEL;

// Classes of calls: which ABI, of those that a machine has, and whether a
// runtime made the call that is at work in the container. They are ../class.go's.
#define NATIVE 0
#define COMPAT 1
#define X32 2
#define ABIS 3
#define RUNTIME 4 // flag

// Numbers beyond the last are counted as one: a container must not be able to
// fill the maps with them.
#define NUMBERS 1024
#define OTHER 0xffffffff

#define X32_BIT 0x40000000

// Numbers of the native ABI that have a place of their own in usual.
#define USUAL 512

#define MAX_SLOTS 1024
#define MAX_NAME 128 // of a cgroup
#define ID_LENGTH 64 // of a container
#define MAX_DEPTH 16 // of cgroups below a container's

// Set before the program is loaded.
volatile const __u32 subsys;           // whose hierarchy names containers, if unified is 0
volatile const __u8 unified;           // that of version 2 does
volatile const __u64 compat_flag;      // in thread_info.flags: a call of the compat ABI
volatile const __u32 compat_status;    // the same in thread_info.status
volatile const __u8 has_x32;           // bit 30 of a number is the x32 ABI
volatile const __u32 number_offset;    // of the call's number in struct pt_regs
volatile const __u16 number_mask;      // of what is read there, 0: all of it
volatile const __u16 value_offset[ABIS][8]; // of the low half of each argument in struct pt_regs
volatile const __u8 watched[ABIS * NUMBERS]; // 1 + the argument whose values are kept, 0: none

volatile const __u32 limit;                  // of slots: no more are given to new containers

// Set while it runs.
__u32 recording; // 0: nothing is counted
__u64 began;     // when recording was set, by CLOCK_MONOTONIC
__u32 next;      // slot of the next new container; 0: there are to be none
__u64 left_out;  // new containers for which there was none

// A container. Its number, from 1, is its index in slots.
struct slot {
	__u64 unclear;      // calls that came back and may have begun before the recording
	__u64 lost_counts;  // calls that there was no room to count
	__u64 lost_values;  // arguments, the same
	__u64 lost_refused; // refused calls, the same
	__u64 unmarked;     // calls whose thread could not be marked
	__u32 mnt_ns;       // its mount namespace, 0: not known yet
	__u32 found;        // one of its processes was
	__u32 fresh;        // it came while the program ran
	__u32 unused;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct slot);
	__uint(max_entries, MAX_SLOTS);
} slots SEC(".maps");

// The cgroups of containers, and which these are.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u64);
	__type(value, __u32);
	__uint(max_entries, 2 * MAX_SLOTS);
} containers SEC(".maps");

// The container that a cgroup is in, 0 for none, of those in which there were calls
// of late. What is not here is looked for.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, __u64);
	__type(value, __u32);
	__uint(max_entries, 16384);
} cgroups SEC(".maps");

// A container that came while the program ran. The first place is for scratch.
struct newcomer {
	__u64 created; // its cgroup was, by CLOCK_MONOTONIC
	char name[MAX_NAME]; // of its cgroup
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct newcomer);
	__uint(max_entries, MAX_SLOTS);
} newcomers SEC(".maps");

// By the process that finds a container: which, and how many cgroups above the
// process' own the container's is.
struct wanted {
	__u32 slot;
	__u32 up;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32);
	__type(value, struct wanted);
	__uint(max_entries, MAX_SLOTS);
} processes SEC(".maps");

// What is known of a thread. Marks for calls that come back are only needed where
// filters are: a thread without one is marked once, and no more until it has one.
#define IN_CALL 1  // it has begun a call that has not come back
#define WORKLOAD 2 // what it does is the container's, not a runtime's
#define NEW 4      // it has not come back from the call that made it
#define FREE 8     // when it last began a call, it had no filter

struct thread {
	__u64 cgroup; // where it last began a call, and the container of that
	__u32 slot;
	__u32 state;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct thread);
} threads SEC(".maps");

// The thread without a filter that last began a call on a processor: of the workload
// of a container, or in none.
struct recent {
	__u64 task;
	__u64 start_time; // there may be another at the same address
	__u64 cgroup;
	__u32 slot;
	__u32 unused;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct recent);
	__uint(max_entries, 1);
} recents SEC(".maps");

// What there is most of: calls of a container's workload in the native ABI, by
// number. It has place for as many containers as there is memory for.
struct usual {
	__u64 count[USUAL];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct usual);
	__uint(max_entries, MAX_SLOTS);
} usual SEC(".maps");

// All other calls.
struct call {
	__u16 slot;
	__u16 class;
	__u32 nr;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__type(key, struct call);
	__type(value, __u64);
	__uint(max_entries, 16384);
} counts SEC(".maps");

struct argument {
	struct call call;
	__u32 value;
	__u32 arg;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct argument);
	__type(value, __u64);
	__uint(max_entries, 8192);
} values SEC(".maps");

struct refusal {
	struct call call;
	__s64 ret;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct refusal);
	__type(value, __u64);
	__uint(max_entries, 4096);
} refused SEC(".maps");

// cgroup_of returns the cgroup of a task in the hierarchy that names containers.
static __always_inline struct cgroup *cgroup_of(struct task_struct *task)
{
	struct css_set *set = task->cgroups;
	if (unified)
		return set->dfl_cgrp;
	struct cgroup_subsys_state *css = set->subsys[subsys & 15];
	return css->cgroup;
}

static __always_inline struct cgroup *parent_of(struct cgroup *cgroup)
{
	struct cgroup_subsys_state *parent = cgroup->self.parent;
	return parent ? parent->cgroup : 0;
}

// find returns the container that a cgroup which is not in the map is in, and
// puts it there.
static __noinline __u32 find(struct task_struct *task)
{
	struct cgroup *cgroup = cgroup_of(task);
	__u64 id = cgroup->kn->id;
	__u32 none = 0, *slot = &none;

	for (int i = 0; i <= MAX_DEPTH && cgroup; i++) {
		__u64 above = cgroup->kn->id;
		__u32 *known = bpf_map_lookup_elem(&containers, &above);
		if (known) {
			slot = known;
			break;
		}
		cgroup = parent_of(cgroup);
	}
	__u32 value = *slot;
	bpf_map_update_elem(&cgroups, &id, &value, BPF_ANY);
	return value;
}

// slot_of returns the container that a task is in, 0 if in none that is recorded.
static __always_inline __u32 slot_of(struct task_struct *task)
{
	__u64 id = cgroup_of(task)->kn->id;
	__u32 *slot = bpf_map_lookup_elem(&cgroups, &id);
	return slot ? *slot : find(task);
}

// thread_of returns what is known of a thread, and makes it known; 0 if that
// cannot be.
static __always_inline struct thread *thread_of(struct task_struct *task, __u32 slot)
{
	struct thread *thread = bpf_task_storage_get(&threads, task, 0, 0);
	if (thread)
		return thread;
	thread = bpf_task_storage_get(&threads, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	// What was in the container before the recording is the workload. Later a
	// thread is by its origin: see on_fork and on_exec.
	if (thread && task->start_time < began) {
		struct slot *s = bpf_map_lookup_elem(&slots, &slot);
		if (s && !s->fresh)
			thread->state = WORKLOAD;
	}
	return thread;
}

static __always_inline __u32 abi_of(struct task_struct *task, __u32 nr)
{
	if (compat_flag && task->thread_info.flags & compat_flag)
		return COMPAT;
	if (compat_status && task->thread_info.status & compat_status)
		return COMPAT;
	if (has_x32 && nr != OTHER && nr & X32_BIT)
		return X32;
	return NATIVE;
}

static __always_inline void identify(struct call *call, struct task_struct *task, __u32 slot, __u32 nr)
{
	call->slot = slot;
	call->class = abi_of(task, nr);
	if (call->class == X32)
		nr &= ~X32_BIT;
	call->nr = nr < NUMBERS ? nr : OTHER;
}

// COUNT adds one to a member of a container's struct slot.
#define COUNT(number, member)                                                 \
	do {                                                                  \
		__u32 index = (number);                                       \
		struct slot *s = bpf_map_lookup_elem(&slots, &index);         \
		if (s)                                                        \
			__sync_fetch_and_add(&s->member, 1);                  \
	} while (0)

// add counts one more under a key that processors share; 0 if there is no room.
static __always_inline int add(void *map, const void *key)
{
	__u64 one = 1, *n = bpf_map_lookup_elem(map, key);
	if (!n) {
		if (!bpf_map_update_elem(map, key, &one, BPF_NOEXIST))
			return 1;
		// Another processor was first, or there is no room.
		n = bpf_map_lookup_elem(map, key);
		if (!n)
			return 0;
	}
	__sync_fetch_and_add(n, 1);
	return 1;
}

static __always_inline void keep_value(const struct call *call, __u64 regs)
{
	__u32 abi = call->class & ~RUNTIME;
	if (call->nr >= NUMBERS || abi >= ABIS)
		return;
	// The compiler knows that the index is in range, the verifier must see it.
	__u32 index = abi * NUMBERS + call->nr;
	asm volatile("" : "+r"(index), "+r"(abi));
	if (index >= sizeof(watched) || abi >= ABIS)
		return;
	__u32 arg = watched[index];
	if (!arg)
		return;
	struct argument key = {.call = *call, .arg = arg - 1};
	__u32 offset = value_offset[abi][key.arg & 7];
	bpf_probe_read_kernel(&key.value, sizeof(key.value), (void *)(regs + offset));
	if (!add(&values, &key))
		COUNT(call->slot, lost_values);
}

static __always_inline void remember(struct recent *recent, struct task_struct *task, __u64 cgroup, __u32 slot)
{
	recent->task = (__u64)task;
	recent->start_time = task->start_time;
	recent->cgroup = cgroup;
	recent->slot = slot;
}

// A call begins. The kernel comes here after seccomp: what a filter refuses does
// not get here.
SEC("tp_btf/sys_enter")
int on_enter(__u64 *ctx)
{
	if (!recording)
		return 0;
	__u32 zero = 0;
	struct recent *recent = bpf_map_lookup_elem(&recents, &zero);
	if (!recent)
		return 0;
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 cgroup = cgroup_of(task)->kn->id;
	int filtered = task->seccomp.mode;
	int known = recent->task == (__u64)task && recent->cgroup == cgroup && recent->start_time == task->start_time;
	__u32 slot, by_runtime = 0;

	if (known && !recent->slot)
		return 0;
	if (known && !filtered) {
		slot = recent->slot;
	} else {
		struct thread *thread = bpf_task_storage_get(&threads, task, 0, 0);
		slot = thread && thread->cgroup == cgroup ? thread->slot : slot_of(task);
		if (!slot) {
			remember(recent, task, cgroup, 0);
			return 0;
		}
		if (!thread)
			thread = thread_of(task, slot);
		if (thread) {
			__u32 state = thread->state & ~(NEW | IN_CALL | FREE);
			thread->cgroup = cgroup;
			thread->slot = slot;
			thread->state = state | (filtered ? IN_CALL : FREE);
			if (!(state & WORKLOAD))
				by_runtime = RUNTIME;
			else if (!filtered)
				remember(recent, task, cgroup, slot);
		} else {
			COUNT(slot, unmarked);
		}
	}

	struct call call;
	identify(&call, task, slot, ctx[1]);
	call.class |= by_runtime;
	if (call.class == NATIVE && call.nr < USUAL) {
		struct usual *usually = bpf_map_lookup_elem(&usual, &slot);
		if (usually) {
			__u32 nr = call.nr;
			// The verifier must see what the compiler knows.
			asm volatile("" : "+r"(nr));
			if (nr >= USUAL)
				return 0;
			usually->count[nr] += 1; // each processor has its own
			if (watched[nr])
				keep_value(&call, ctx[0]);
			return 0;
		}
	}
	__u64 *n = bpf_map_lookup_elem(&counts, &call);
	if (n) {
		*n += 1;
	} else {
		__u64 one = 1;
		// Of one key, it fails on one of two processors that come here at once.
		if (bpf_map_update_elem(&counts, &call, &one, BPF_NOEXIST)) {
			n = bpf_map_lookup_elem(&counts, &call);
			if (n)
				*n += 1;
			else
				COUNT(slot, lost_counts);
		}
	}
	keep_value(&call, ctx[0]);
	return 0;
}

// A call comes back. One that a filter refused does without having begun.
SEC("tp_btf/sys_exit")
int on_exit(__u64 *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	if (!task->seccomp.mode || !recording)
		return 0;
	struct thread *thread = bpf_task_storage_get(&threads, task, 0, 0);
	// FREE: it was given a filter while it was in the call.
	if (thread && thread->state & (IN_CALL | FREE)) {
		thread->state &= ~(IN_CALL | FREE);
		return 0;
	}
	__u32 slot = slot_of(task);
	if (!slot)
		return 0;

	__s64 ret = ctx[1];
	if (!thread) {
		// It may have begun the call before the recording, or outside of the
		// container.
		thread_of(task, slot);
		COUNT(slot, unclear);
		return 0;
	}
	__u32 state = thread->state;
	thread->state &= ~NEW;
	// A new thread comes back, on some architectures, from the call that made it.
	if (state & NEW && ret == 0)
		return 0;

	__u32 nr = OTHER;
	bpf_probe_read_kernel(&nr, sizeof(nr), (void *)(ctx[0] + number_offset));
	if (number_mask)
		nr &= number_mask;
	struct refusal key = {.ret = ret};
	identify(&key.call, task, slot, nr);
	if (!(state & WORKLOAD))
		key.call.class |= RUNTIME;
	if (!add(&refused, &key))
		COUNT(slot, lost_refused);
	return 0;
}

// What a thread of the workload makes is the workload's.
SEC("tp_btf/sched_process_fork")
int on_fork(__u64 *ctx)
{
	if (!recording)
		return 0;
	struct task_struct *parent = bpf_get_current_task_btf();
	struct task_struct *child = (void *)ctx[1];
	__u32 slot = slot_of(parent);
	if (!slot)
		return 0;
	struct thread *from = thread_of(parent, slot);
	// It is in a call, also if that began before the recording.
	if (from)
		from->state |= IN_CALL;
	struct thread *thread = bpf_task_storage_get(&threads, child, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (thread)
		thread->state = NEW | (from ? from->state & WORKLOAD : 0);
	return 0;
}

// A runtime that brings a process into a container (kubectl exec) does so from
// outside: it is one more process of the container's cgroup, and becomes the
// workload by the program that it executes in the container's mount namespace.
SEC("tp_btf/sched_process_exec")
int on_exec(__u64 *ctx)
{
	if (!recording)
		return 0;
	struct task_struct *task = bpf_get_current_task_btf();
	__u32 slot = slot_of(task);
	if (!slot)
		return 0;
	struct slot *s = bpf_map_lookup_elem(&slots, &slot);
	if (!s)
		return 0;
	__u32 mnt_ns = task->nsproxy->mnt_ns->ns.inum;
	if (!s->mnt_ns) {
		// Runtimes execute themselves in a new container, in their own mount
		// namespace, before they make the container's; and hooks in that, which
		// have their parent there.
		__u32 outside = task->real_parent->nsproxy->mnt_ns->ns.inum;
		if (outside && outside != mnt_ns)
			s->mnt_ns = mnt_ns;
	}
	if (mnt_ns != s->mnt_ns)
		return 0;
	struct thread *thread = thread_of(task, slot);
	if (thread)
		thread->state |= WORKLOAD | IN_CALL;
	return 0;
}

// A cgroup is made. If it is one of a container, that is given a slot, before there
// can be a process in it. The kernel makes one cgroup at a time (cgroup_mutex).
SEC("tp_btf/cgroup_mkdir")
int on_mkdir(__u64 *ctx)
{
	struct cgroup *cgroup = (void *)ctx[0];
	struct task_struct *task = bpf_get_current_task_btf();
	__u32 zero = 0, number = next;
	if (!recording || !number || cgroup->root != cgroup_of(task)->root)
		return 0;

	// It is named ID, or something before that, or also .scope after it.
	struct newcomer *scratch = bpf_map_lookup_elem(&newcomers, &zero);
	if (!scratch)
		return 0;
	long size = bpf_probe_read_kernel_str(scratch->name, MAX_NAME, cgroup->kn->name);
	if (size <= ID_LENGTH || size > MAX_NAME)
		return 0;
	__u32 end = size - 1;
	if (scratch->name[(end - 1) & (MAX_NAME - 1)] == 'e')
		end -= sizeof(".scope") - 1;
	if (scratch->name[end & (MAX_NAME - 1)] != '.' && end != size - 1) // an ID can end in an e
		end = size - 1;
	if (end < ID_LENGTH)
		return 0;
	for (__u32 i = 1; i <= ID_LENGTH; i++) {
		char c = scratch->name[(end - i) & (MAX_NAME - 1)];
		if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
			return 0;
	}
	// What is inside of a container is that container's.
	struct cgroup *above = cgroup;
	for (int i = 0; i < MAX_DEPTH; i++) {
		above = parent_of(above);
		if (!above)
			break;
		__u64 id = above->kn->id;
		if (bpf_map_lookup_elem(&containers, &id))
			return 0;
	}
	struct slot *slot = bpf_map_lookup_elem(&slots, &number);
	struct newcomer *newcomer = bpf_map_lookup_elem(&newcomers, &number);
	__u64 id = cgroup->kn->id;
	if (number >= limit || !slot || !newcomer || bpf_map_update_elem(&containers, &id, &number, BPF_ANY)) {
		left_out += 1;
		return 0;
	}
	slot->fresh = 1;
	__builtin_memcpy(newcomer->name, scratch->name, MAX_NAME);
	newcomer->created = bpf_ktime_get_ns();
	next = number + 1;
	return 0;
}

// on_task finds the cgroups of containers by their processes, which are numbered
// as in the PID namespace of who reads the iterator.
SEC("iter/task")
int on_task(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	if (!task || task != task->group_leader)
		return 0;
	struct task_struct *reader = bpf_get_current_task_btf();
	__u32 level = reader->thread_pid->level;
	struct pid *pid = task->thread_pid;
	if (!pid || pid->level < level)
		return 0;

	// Older verifiers want no variable added to a pointer that they know the type of:
	// read by the helper, it is a number to them.
	__u32 nr = 0;
	__u64 numbers = 0;
	bpf_probe_read_kernel(&numbers, sizeof(numbers), &task->thread_pid);
	numbers += bpf_core_field_offset(struct pid, numbers) + level * (__u64)bpf_core_type_size(struct upid);
	bpf_probe_read_kernel(&nr, sizeof(nr), (void *)(numbers + bpf_core_field_offset(struct upid, nr)));
	struct wanted *wanted = bpf_map_lookup_elem(&processes, &nr);
	if (!wanted)
		return 0;
	struct slot *slot = bpf_map_lookup_elem(&slots, &wanted->slot);
	struct nsproxy *nsproxy = task->nsproxy;
	if (!slot || !nsproxy)
		return 0;

	struct cgroup *cgroup = cgroup_of(task);
	for (int i = 0; i < MAX_DEPTH && i < wanted->up; i++) {
		cgroup = parent_of(cgroup);
		if (!cgroup)
			return 0;
	}
	__u64 id = cgroup->kn->id;
	__u32 number = wanted->slot;
	if (bpf_map_update_elem(&containers, &id, &number, BPF_ANY))
		return 0;
	slot->mnt_ns = nsproxy->mnt_ns->ns.inum;
	slot->found = 1;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";

// The source's hash, by which an object tells what it was compiled from.
char SOURCE_HASH[] SEC("source") = SOURCE;
