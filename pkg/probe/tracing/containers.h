// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0

// What a BPF program needs that looks at the system calls of containers: which
// container a thread is in, and by which ABI a call came. It is loaded with the
// layout of the running kernel (CO-RE): the structures below name the members that
// are used and nothing else of the kernel's.

#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#define KERNEL __attribute__((preserve_access_index))

struct kernfs_node {
	__u64 id;
} KERNEL;

struct cgroup;

struct cgroup_subsys_state {
	struct cgroup *cgroup;
	struct cgroup_subsys_state *parent;
} KERNEL;

struct cgroup {
	struct cgroup_subsys_state self;
	struct kernfs_node *kn;
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

typedef struct {
	int counter;
} KERNEL atomic_t;

struct sock_fprog_kern {
	__u16 len;
	void *filter;
} KERNEL;

struct bpf_prog {
	struct sock_fprog_kern *orig_prog; // 0 without CONFIG_CHECKPOINT_RESTORE
} KERNEL;

// The bitmaps are by number, a bit for each that every filter of the stack allows
// whatever else a call has (seccomp_cache_prepare in kernel/seccomp.c).
struct action_cache {
	unsigned long allow_native[8];
} KERNEL;

struct seccomp_filter {
	_Bool log;
	struct action_cache cache;
	struct seccomp_filter *prev; // the next older
	struct bpf_prog *prog;
} KERNEL;

struct seccomp {
	int mode;
	atomic_t filter_count;
	struct seccomp_filter *filter; // the newest
} KERNEL;

struct thread_info {
	unsigned long flags;
	__u32 status; // x86
} KERNEL;

struct signal_struct {
	unsigned int flags;
} KERNEL;

struct task_struct {
	struct thread_info thread_info;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	int exit_code;
	__u64 start_time; // by CLOCK_MONOTONIC, in nanoseconds
	char comm[16];
	struct nsproxy *nsproxy;
	struct css_set *cgroups;
	struct signal_struct *signal;
	struct seccomp seccomp;
} KERNEL;

struct bpf_iter__task {
	struct task_struct *task;
} KERNEL;

// ABIs of those that a machine has. They are layout.go's.
#define NATIVE 0
#define COMPAT 1
#define X32 2
#define ABIS 3

#define X32_BIT 0x40000000

#define MAX_SLOTS 1024
#define MAX_DEPTH 16 // of cgroups below a container's

// Set before the program is loaded.
volatile const __u32 subsys;           // whose hierarchy names containers, if unified is 0
volatile const __u8 unified;           // that of version 2 does
volatile const __u64 compat_flag;      // in thread_info.flags: a call of the compat ABI
volatile const __u32 compat_status;    // the same in thread_info.status
volatile const __u8 has_x32;           // bit 30 of a number is the x32 ABI
volatile const __u32 number_offset;    // of a call's number in struct pt_regs
volatile const __u32 pointer_offset;   // of the instruction pointer
volatile const __u16 argument_offset[ABIS][8]; // of each argument

// Set by on_task: how deep the PID namespace is of who reads the iterator, which
// numbers of processes are those of.
__u32 pid_level;

// The container that a cgroup is in, 0 for none: those of containers first, and
// then all in which there were calls.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u64);
	__type(value, __u32);
	__uint(max_entries, 16384);
} cgroups SEC(".maps");

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

// The mount namespaces of the containers whose cgroups were found. A container's
// number, from 1, is its index.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, MAX_SLOTS);
} found SEC(".maps");

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

	for (int i = 0; i < MAX_DEPTH; i++) {
		cgroup = parent_of(cgroup);
		if (!cgroup)
			break;
		__u64 above = cgroup->kn->id;
		__u32 *known = bpf_map_lookup_elem(&cgroups, &above);
		if (known) {
			slot = known;
			break;
		}
	}
	// Without room it is looked for at every call: slower, and as exact.
	__u32 value = *slot;
	bpf_map_update_elem(&cgroups, &id, &value, BPF_NOEXIST);
	return value;
}

// slot_of returns the container that a task is in, 0 if in none that is looked at.
static __always_inline __u32 slot_of(struct task_struct *task)
{
	__u64 id = cgroup_of(task)->kn->id;
	__u32 *slot = bpf_map_lookup_elem(&cgroups, &id);
	return slot ? *slot : find(task);
}

static __always_inline __u32 abi_of(struct task_struct *task, __u32 nr)
{
	if (compat_flag && task->thread_info.flags & compat_flag)
		return COMPAT;
	if (compat_status && task->thread_info.status & compat_status)
		return COMPAT;
	// -1, by which a tracer leaves a call out, is of no ABI.
	if (has_x32 && (__s32)nr >= 0 && nr & X32_BIT)
		return X32;
	return NATIVE;
}

// number_in returns what a PID is in the PID namespace at a depth, 0 if nothing.
static __always_inline __u32 number_in(struct pid *pid, __u32 level)
{
	__u32 nr = 0;
	if (!pid || pid->level < level)
		return 0;
	bpf_probe_read_kernel(&nr, sizeof(nr), (void *)&pid->numbers[0].nr + level * bpf_core_type_size(struct upid));
	return nr;
}

// on_task finds the cgroups of containers by their processes.
SEC("iter/task")
int on_task(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	if (!task || task != task->group_leader)
		return 0;
	struct task_struct *reader = bpf_get_current_task_btf();
	pid_level = reader->thread_pid->level;
	__u32 nr = number_in(task->thread_pid, pid_level);
	struct wanted *wanted = bpf_map_lookup_elem(&processes, &nr);
	if (!wanted)
		return 0;
	struct cgroup *cgroup = cgroup_of(task);
	for (int i = 0; i < MAX_DEPTH && i < wanted->up; i++) {
		cgroup = parent_of(cgroup);
		if (!cgroup)
			return 0;
	}
	struct nsproxy *nsproxy = task->nsproxy;
	if (!nsproxy)
		return 0;
	__u64 id = cgroup->kn->id;
	__u32 slot = wanted->slot, mnt_ns = nsproxy->mnt_ns->ns.inum;
	if (!bpf_map_update_elem(&cgroups, &id, &slot, BPF_ANY))
		bpf_map_update_elem(&found, &slot, &mnt_ns, BPF_ANY);
	return 0;
}
