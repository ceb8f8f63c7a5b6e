// Makes calls under a stack of filters, none of which is executed.
//
// usage: call JOB
//        call
//
// JOB is a file that holds a struct job, its filters, each after its length in
// instructions (uint64_t), and its calls. What becomes of each call is written
// into the file, which therefore is mapped: that needs no system call, so it
// works under any filter. The calls whose state is NOT_MADE are made in turn.
//
// The calls are made by a thread of their own. When it has made all, the process
// dies of SIGILL. If a call kills the thread, the process exits with 3; if it
// kills the process, that dies of SIGSYS. The call is then in state BEGUN.
//
// Without JOB, it prints the instruction pointers that filters see: of calls of
// x86-64 and x32, and of i386; 0 for that if the kernel has no i386 ABI.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct job {
	uint64_t filters, calls;
	uint64_t installed; // how many filters, the guard among them; 0 if that does not hold
	uint64_t error;     // the errno of the one that was refused, if any
};

enum { NOT_MADE, BEGUN, RETURNED, TRAPPED };

struct call {
	uint32_t arch, nr;
	uint64_t args[6];
	uint32_t state;
	uint32_t data; // what was returned, negated; or the signal's si_errno
};

// int $0x80 enters the i386 ABI from 64-bit code, with 64-bit registers.
__asm__(".text\n"
	"call64:\n"
	"	mov %edi, %eax\n"
	"	mov 0(%rsi), %rdi\n"
	"	mov 16(%rsi), %rdx\n"
	"	mov 24(%rsi), %r10\n"
	"	mov 32(%rsi), %r8\n"
	"	mov 40(%rsi), %r9\n"
	"	mov 8(%rsi), %rsi\n"
	"	syscall\n"
	"called64:\n"
	"	ret\n"
	"call32:\n"
	"	push %rbx\n"
	"	push %rbp\n"
	"	mov %edi, %eax\n"
	"	mov 0(%rsi), %rbx\n"
	"	mov 8(%rsi), %rcx\n"
	"	mov 16(%rsi), %rdx\n"
	"	mov 32(%rsi), %rdi\n"
	"	mov 40(%rsi), %rbp\n"
	"	mov 24(%rsi), %rsi\n"
	"	int $0x80\n"
	"called32:\n"
	"	pop %rbp\n"
	"	pop %rbx\n"
	"	ret\n");
extern long call64(uint32_t nr, const uint64_t *args);
extern long call32(uint32_t nr, const uint64_t *args);
extern const char called64[], called32[];

// The guard is the oldest filter: an ALLOW, LOG, TRACE or USER_NOTIF of the
// others becomes its errno, and whatever precedes ERRNO stands, as does another
// filter's ERRNO. It lets nothing through but seccomp(2) with a number in an
// argument which that call does not have.
#define GUARD_ERRNO 4000
#define PASS_LOW 0x5a1e7c93u
#define PASS_HIGH 0xc4b8d26fu
#define WORD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define HALF(field, n) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field) + 4 * (n))
#define UNLESS(k, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, k, 0, skip)

static struct sock_filter guard[] = {
	WORD(arch), UNLESS(AUDIT_ARCH_X86_64, 7),
	WORD(nr), UNLESS(SYS_seccomp, 5),
	HALF(args[5], 0), UNLESS(PASS_LOW, 3),
	HALF(args[5], 1), UNLESS(PASS_HIGH, 1),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | GUARD_ERRNO),
};

static struct job *job;
static struct call *current;
static jmp_buf trapped;

// leave ends the process without a system call.
static void leave(void) { __builtin_trap(); }

static void install(struct sock_filter *filter, uint64_t len) {
	struct sock_fprog prog = {.len = len, .filter = filter};
	const uint64_t args[6] = {SECCOMP_SET_MODE_FILTER, 0, (uintptr_t)&prog, 0, 0, (uint64_t)PASS_HIGH << 32 | PASS_LOW};
	long r = call64(SYS_seccomp, args);
	if (r != 0) {
		job->error = -r;
		leave();
	}
	job->installed++;
}

// on_sigsys does not return, since sigreturn might be denied.
static void on_sigsys(int sig, siginfo_t *info, void *context) {
	(void)sig, (void)context;
	if (current == NULL) // an older filter traps the installation of a newer one
		leave();
	current->data = info->si_errno;
	current->state = TRAPPED;
	_longjmp(trapped, 1);
}

static void *make_calls(void *unused) {
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
		job->error = errno;
		leave();
	}
	install(guard, sizeof guard / sizeof *guard);
	const uint64_t none[6] = {0};
	if (call64(SYS_getppid, none) != -GUARD_ERRNO) {
		job->installed = 0;
		job->error = ENOTSUP;
		leave();
	}
	uint64_t *next = (uint64_t *)(job + 1);
	for (uint64_t i = 0; i < job->filters; i++) {
		uint64_t len = *next++;
		install((struct sock_filter *)next, len);
		next += len;
	}
	struct call *calls = (struct call *)next;
	for (current = calls; current < calls + job->calls; current++) {
		if (current->state != NOT_MADE)
			continue;
		current->state = BEGUN;
		if (_setjmp(trapped) == 0) {
			long r = (current->arch == AUDIT_ARCH_I386 ? call32 : call64)(current->nr, current->args);
			current->data = -r;
			current->state = RETURNED;
		}
	}
	leave();
	return unused;
}

static void check(int failed, const char *what) {
	if (failed) {
		perror(what);
		exit(1);
	}
}

static void print_pointers(void) {
	const uint64_t none[6] = {0};
	int status;
	pid_t child = fork();
	check(child < 0, "fork");
	if (child == 0) {
		// Without the ABI this is SIGSEGV.
		call32(20 /* getpid */, none);
		_exit(0);
	}
	check(waitpid(child, &status, 0) < 0, "waitpid");
	printf("%lu %lu\n", (uintptr_t)called64, status == 0 ? (uintptr_t)called32 : 0);
}

int main(int argc, char **argv) {
	if (argc == 1) {
		print_pointers();
		return 0;
	}
	int fd = open(argv[1], O_RDWR);
	check(fd < 0, argv[1]);
	struct stat st;
	check(fstat(fd, &st), argv[1]);
	job = mmap(NULL, st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	check(job == MAP_FAILED, argv[1]);

	const struct rlimit no_core = {0};
	check(setrlimit(RLIMIT_CORE, &no_core), "setrlimit");
	const struct sigaction action = {.sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO | SA_NODEFER};
	check(sigaction(SIGSYS, &action, NULL), "sigaction");
	pthread_t thread;
	check((errno = pthread_create(&thread, NULL, make_calls, NULL)), "pthread_create");
	check((errno = pthread_join(thread, NULL)), "pthread_join");
	return 3;
}
