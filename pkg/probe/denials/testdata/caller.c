// Makes system calls of which it is known what becomes of each under which filter
// and by which of its instructions: for each letter that it reads it does one thing,
// and writes the letter.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NR BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))
#define IF(nr, action)                                  \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),  \
	BPF_STMT(BPF_RET | BPF_K, action)
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static int install(struct sock_filter *code, unsigned short length, unsigned flags)
{
	struct sock_fprog program = {length, code};
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	int fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
	if (fd < 0)
		abort();
	return fd;
}

#define INSTALL(flags, ...)                                                   \
	({                                                                    \
		struct sock_filter code[] = {__VA_ARGS__};                    \
		install(code, sizeof(code) / sizeof(code[0]), flags);         \
	})

static void all(void)
{
	INSTALL(0,
		NR,                                              // 0
		IF(SYS_getpgid, SECCOMP_RET_ERRNO | EPERM),      // 1, 2
		IF(SYS_getsid, SECCOMP_RET_TRAP | 7),            // 3, 4
		IF(SYS_getpriority, SECCOMP_RET_KILL_PROCESS),   // 5, 6
		IF(SYS_getresuid, SECCOMP_RET_KILL_THREAD),      // 7, 8
		IF(SYS_getresgid, SECCOMP_RET_TRACE | 3),        // 9, 10
		IF(SYS_sched_getscheduler, SECCOMP_RET_LOG),     // 11, 12
		IF(SYS_sched_getparam, SECCOMP_RET_USER_NOTIF),  // 13, 14
		IF(SYS_getgroups, SECCOMP_RET_ERRNO),            // 15, 16
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_personality, 0, 3), // 17
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0]) + 4 * (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)), // 18
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PER_LINUX32, 0, 1),     // 19
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES),      // 20
		ALLOW);                                                     // 21
}

static void ignore(int signal) { (void)signal; }

static void *killed(void *arg)
{
	syscall(SYS_getresuid, 0, 0, 0);
	return arg;
}

// A supervisor lets one call go on, and gives the other a result of its own.
static void *supervise(void *arg)
{
	int fd = *(int *)arg;
	for (int i = 0; i < 2; i++) {
		struct seccomp_notif call = {0};
		struct seccomp_notif_resp answer = {0};
		if (ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &call))
			return 0;
		answer.id = call.id;
		if (i == 0)
			answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
		else
			answer.val = 4711;
		if (ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &answer))
			return 0;
	}
	return 0;
}

static void *supervised(void *arg)
{
	*(int *)arg = INSTALL(SECCOMP_FILTER_FLAG_NEW_LISTENER,
		NR,                                          // 0
		IF(SYS_getpgid, SECCOMP_RET_USER_NOTIF),     // 1, 2
		ALLOW);                                      // 3
	pthread_t supervisor;
	// It is made with the filter, and makes none of the calls.
	pthread_create(&supervisor, 0, supervise, arg);
	syscall(SYS_getpgid, 0);
	syscall(SYS_getpgid, 0);
	pthread_join(supervisor, 0);
	return 0;
}

// traced makes a call that its parent, a tracer, lets go on, and one that it leaves
// out.
static void traced(void)
{
	int status;
	pid_t child = fork();
	if (child == 0) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		INSTALL(0, NR, IF(SYS_getresgid, SECCOMP_RET_TRACE | 5), ALLOW);
		syscall(SYS_getresgid, 0, 0, 0);
		_exit(0);
	}
	waitpid(child, &status, 0);
	ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACESECCOMP | PTRACE_O_EXITKILL);
	ptrace(PTRACE_CONT, child, 0, 0);
	waitpid(child, &status, 0); // PTRACE_EVENT_SECCOMP
	ptrace(PTRACE_CONT, child, 0, 0);
	waitpid(child, &status, 0);
}

// Threads that wait for a byte each, and for the end of the process.
#define WAITING 50
static int bytes[2];
static pthread_barrier_t ready;

static void *waits(void *arg)
{
	char c;
	pthread_barrier_wait(&ready);
	if (read(bytes[0], &c, 1) == 1)
		pthread_barrier_wait(&ready);
	return arg;
}

int main(void)
{
	pthread_t thread;
	char many[WAITING] = {0};
	int fd;
	char c;

	while (read(0, &c, 1) == 1) {
		switch (c) {
		case 'f': // one filter with all actions
			all();
			break;
		case 's': // another on top
			INSTALL(0, NR, IF(SYS_getsid, SECCOMP_RET_ERRNO | ENOENT), IF(SYS_getpgid, SECCOMP_RET_ERRNO | ENOENT), ALLOW);
			break;
		case 'e':
			syscall(SYS_getpgid, 42, 43, 44, 45, 46, 47);
			break;
		case 'E': // many
			for (int i = 0; i < 5000; i++)
				syscall(SYS_getpgid, i);
			break;
		case '0': // fails with 0, which is success
			syscall(SYS_getgroups, 0, 0);
			break;
		case 'p':
			syscall(SYS_personality, PER_LINUX32);
			syscall(SYS_personality, 0xffffffff); // is let through
			break;
		case 'k': // EPERM, by the kernel's own checks: a leader of a session
			setsid();
			setsid();
			break;
		case 't':
			signal(SIGSYS, ignore);
			syscall(SYS_getsid, 0);
			break;
		case 'P':
			if (fork() == 0) {
				prctl(PR_SET_NAME, "to be \x1b[31mkilled");
				syscall(SYS_getpriority, 0, 0);
			}
			wait(0);
			break;
		case 'T': // a thread of several
			if (!pthread_create(&thread, 0, killed, 0))
				pthread_join(thread, 0);
			break;
		case '1': // the only thread
			if (fork() == 0)
				killed(0);
			wait(0);
			break;
		case 'r':
			syscall(SYS_getresgid, 0, 0, 0);
			break;
		case 'l':
			syscall(SYS_sched_getscheduler, 0);
			break;
		case 'u': // without a supervisor
			syscall(SYS_sched_getparam, 0, 0);
			break;
		case 'U':
			if (!pthread_create(&thread, 0, supervised, &fd))
				pthread_join(thread, 0);
			close(fd);
			break;
		case 'R':
			traced();
			break;
		case 'o': // one that installs a filter and dies of it
			if (fork() == 0) {
				INSTALL(0, ALLOW);
				INSTALL(SECCOMP_FILTER_FLAG_LOG, NR, IF(SYS_sched_yield, SECCOMP_RET_KILL_PROCESS), ALLOW);
				syscall(SYS_sched_yield);
			}
			wait(0);
			break;
		case 'w':
			if (pipe(bytes) || pthread_barrier_init(&ready, 0, WAITING + 1))
				return 1;
			for (int i = 0; i < WAITING; i++)
				pthread_create(&thread, 0, waits, 0);
			pthread_barrier_wait(&ready);
			break;
		case 'W':
			if (write(bytes[1], many, WAITING) != WAITING)
				return 1;
			pthread_barrier_wait(&ready);
			break;
		case 'L': // logs one value of an argument
			INSTALL(0, NR, BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpgid, 0, 3),
				BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0]) + 4 * (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)),
				BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 7, 0, 1),
				BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_LOG),
				ALLOW);
			break;
#ifdef __x86_64__
		case 'x': // getpid of x32, which the filters take for a number of its own
			INSTALL(0, NR, IF(0x40000000 | SYS_getpid, SECCOMP_RET_ERRNO | ENOSYS), ALLOW);
			syscall(0x40000000 | SYS_getpid);
			break;
#endif
		case 'q':
			_exit(0);
		}
		if (write(1, &c, 1) != 1)
			return 1;
	}
	return 0;
}
