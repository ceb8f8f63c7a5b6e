// target is a process to be read: target FILTERS MODE.
//
// It installs FILTERS filters, the i-th of 3+i instructions, does what MODE
// says, and prints "ready" when it is about to. A line on its standard input
// ends it, after it has printed how often a call of it failed with EINTR.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void die(const char *what)
{
	perror(what);
	exit(1);
}

// install adds a filter that refuses the number 0xfff0+mark, and nothing that
// exists; its length and a constant tell it from others.
static void install(int mark)
{
	struct sock_filter code[64];
	int n = 0;
	for (int i = 0; i < mark; i++)
		code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_IMM, 0xabcd0000 + mark);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0xfff0 + mark, 1, 0);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
	struct sock_fprog prog = {n, code};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		die("no_new_privs");
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, mark % 2 ? SECCOMP_FILTER_FLAG_LOG : 0, &prog))
		die("seccomp");
}

// deny adds a filter that makes one system call fail with EPERM.
static void deny(int nr)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {sizeof(code) / sizeof(code[0]), code};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog))
		die("seccomp");
}

// pile adds filters of one instruction each, which allow everything and differ in
// the data of the action, until the kernel has no room for more.
static void pile(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		die("no_new_privs");
	for (int i = 0;; i++) {
		struct sock_filter code = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW | i);
		struct sock_fprog prog = {1, &code};
		if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog)) {
			if (errno != ENOMEM)
				die("seccomp");
			return;
		}
	}
}

static void ready(void)
{
	if (write(1, "ready\n", 6) != 6)
		die("write");
}

static int futex_word;

static void *futex_forever(void *unused)
{
	for (;;)
		syscall(SYS_futex, &futex_word, FUTEX_WAIT, 0, NULL, NULL, 0);
	return NULL;
}

static void *pause_forever(void *unused)
{
	for (;;)
		pause();
	return NULL;
}

static void *filter_then_pause(void *mark)
{
	install((int)(long)mark);
	return pause_forever(NULL);
}

static void *exec_again(void *argv)
{
	execv("/proc/self/exe", argv);
	die("execv");
	return NULL;
}

static void start(void *(*f)(void *), void *arg)
{
	pthread_t thread;
	if (pthread_create(&thread, NULL, f, arg))
		die("pthread_create");
}

// wake_on_input wakes the main thread's futex when standard input has a line.
static void *wake_on_input(void *unused)
{
	char c;
	struct pollfd p = {0, POLLIN, 0};
	while (poll(&p, 1, -1) < 0 || read(0, &c, 1) < 0)
		;
	__atomic_store_n(&futex_word, 1, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &futex_word, FUTEX_WAKE, 1, NULL, NULL, 0);
	return NULL;
}

static volatile sig_atomic_t signals;

static void count_signal(int sig)
{
	signals++;
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	int filters = atoi(argv[1]);
	const char *mode = argv[2];
	volatile long eintr = 0;
	char c;

	for (int i = 0; i < filters; i++)
		install(i);

	if (!strcmp(mode, "read") || !strcmp(mode, "tallest")) {
		if (!strcmp(mode, "tallest"))
			pile(); // thousands: only where the kernel may be lost
		ready();
		while (read(0, &c, 1) < 0)
			eintr += errno == EINTR;
	} else if (!strcmp(mode, "epoll") || !strcmp(mode, "epoll+futex")) {
		if (mode[5])
			start(futex_forever, NULL);
		int fd = epoll_create1(0);
		struct epoll_event e = {.events = EPOLLIN};
		epoll_ctl(fd, EPOLL_CTL_ADD, 0, &e);
		ready();
		while (epoll_wait(fd, &e, 1, -1) < 0)
			eintr += errno == EINTR;
	} else if (!strcmp(mode, "futex")) {
		start(wake_on_input, NULL);
		ready();
		while (!__atomic_load_n(&futex_word, __ATOMIC_SEQ_CST))
			if (syscall(SYS_futex, &futex_word, FUTEX_WAIT, 0, NULL, NULL, 0) < 0)
				eintr += errno == EINTR;
	} else if (!strcmp(mode, "nanosleep")) {
		// With restart_syscall denied by its own filter: what fails then is
		// counted, whatever the errno.
		deny(SYS_restart_syscall);
		ready();
		struct timespec day = {86400, 0};
		struct pollfd p = {0, POLLIN, 0};
		while (poll(&p, 1, 0) == 0)
			if (nanosleep(&day, NULL) < 0 && errno == EPERM && ++eintr)
				break;
	} else if (!strcmp(mode, "spin")) {
		fcntl(0, F_SETFL, O_NONBLOCK);
		ready();
		while (read(0, &c, 1) < 0)
			;
	} else if (!strcmp(mode, "threads")) {
		// Three with one filter more, each another; one with none more.
		start(pause_forever, NULL);
		for (long mark = 20; mark < 23; mark++)
			start(filter_then_pause, (void *)mark);
		// Their filters are in place when the kernel says so.
		for (int n = 0; n < 3;) {
			n = 0;
			for (int tid = getpid() + 1; tid < getpid() + 64; tid++) {
				char path[64], line[256];
				snprintf(path, sizeof path, "/proc/self/task/%d/status", tid);
				FILE *f = fopen(path, "r");
				if (!f)
					continue;
				while (fgets(line, sizeof line, f))
					n += !strncmp(line, "Seccomp_filters:", 16) && atoi(line + 16) == filters + 1;
				fclose(f);
			}
		}
		ready();
		while (read(0, &c, 1) < 0)
			;
	} else if (!strcmp(mode, "many")) {
		// Three thousand threads, without any filters of their own.
		pthread_attr_t small;
		pthread_t thread;
		pthread_attr_init(&small);
		pthread_attr_setstacksize(&small, 64 << 10);
		for (int n = 0; n < 3000; n++)
			if (pthread_create(&thread, &small, futex_forever, NULL))
				die("pthread_create");
		ready();
		while (read(0, &c, 1) < 0)
			;
	} else if (!strcmp(mode, "exec-hangs")) {
		// In the execve, the kernel closes this file.
		if (argc < 4 || open(argv[3], O_RDONLY | O_CLOEXEC) < 0)
			die("open");
		ready();
		execl("/bin/true", "true", NULL);
		die("execl");
	} else if (!strcmp(mode, "vfork")) {
		int fds[2];
		if (pipe(fds))
			die("pipe");
		ready();
		// The parent waits in the kernel until the child is done.
		if (vfork() == 0) {
			while (read(0, &c, 1) < 0)
				;
			_exit(0);
		}
	} else if (!strcmp(mode, "signals")) {
		struct sigaction act = {.sa_handler = count_signal};
		sigaction(SIGUSR1, &act, NULL);
		fcntl(0, F_SETFL, O_NONBLOCK);
		ready();
		while (read(0, &c, 1) < 0)
			;
		eintr = signals;
	} else if (!strcmp(mode, "zombie")) {
		// The main thread ends, another goes on.
		start(pause_forever, NULL);
		ready();
		pthread_exit(NULL);
	} else if (!strcmp(mode, "forks")) {
		// Children that come and go.
		ready();
		for (;;) {
			if (fork() == 0)
				_exit(0);
			while (waitpid(-1, NULL, 0) < 0 && errno == EINTR)
				;
		}
	} else if (!strcmp(mode, "execs") || !strcmp(mode, "thread-execs")) {
		// Itself, over and over, by its main thread or by another, and without
		// more filters.
		if (argc == 3)
			ready();
		char *again[] = {argv[0], "0", argv[2], "again", NULL};
		if (!strcmp(mode, "execs"))
			exec_again(again);
		start(pause_forever, NULL);
		start(exec_again, again);
		pause_forever(NULL);
	} else {
		return 2;
	}
	printf("eintr %ld\n", eintr);
	return 0;
}
