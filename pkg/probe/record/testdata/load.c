// Makes calls on two threads, each for a second of processor time, and prints how
// many both made in one such second, and in one by the clock: of processor time others
// on the machine take nothing. The first argument says which calls:
//
//	getpgid  which does next to nothing
//	pread    of 4 KiB from a file in memory
//	pipe     16 KiB written to a pipe and read from it, in turn
//
// With a second one they are made under a filter, of as many comparisons as that
// says before it allows a call: runtimes' default filters make some hundred, or, where
// the kernel knows that a call is allowed whatever its arguments, none.
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const char *what;

static double now(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void *run(void *arg)
{
	static const int per = 2000;
	char buf[16384] = {0};
	int fd[2], file = memfd_create("load", 0);
	double begin = now(CLOCK_THREAD_CPUTIME_ID), wall = now(CLOCK_MONOTONIC);
	double *rate = arg;
	long calls = 0;

	if (pipe(fd) || write(file, buf, sizeof buf) != sizeof buf)
		return 0;
	while (now(CLOCK_THREAD_CPUTIME_ID) - begin < 1)
		for (int i = 0; i < per; i += 2) {
			if (*what == 'g') {
				syscall(SYS_getpgid, 0);
				syscall(SYS_getpgid, 0);
			} else if (!strcmp(what, "pread")) {
				if (pread(file, buf, 4096, 0) != 4096 || pread(file, buf, 4096, 4096) != 4096)
					return 0;
			} else if (write(fd[1], buf, sizeof buf) != sizeof buf || read(fd[0], buf, sizeof buf) != sizeof buf) {
				return 0;
			}
			calls += 2;
		}
	rate[0] = calls / (now(CLOCK_THREAD_CPUTIME_ID) - begin);
	rate[1] = calls / (now(CLOCK_MONOTONIC) - wall);
	return 0;
}

// confine installs a filter.
static int confine(int comparisons)
{
	struct sock_filter code[2048];
	struct sock_fprog filter = {0, code};
	struct sock_filter load = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	struct sock_filter differs = BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 100000, 0, 0);
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);

	if (comparisons > 2000)
		return -1;
	code[filter.len++] = load;
	while (comparisons-- > 0)
		code[filter.len++] = differs;
	code[filter.len++] = allow;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter);
}

int main(int argc, char **argv)
{
	pthread_t thread[2];
	double rate[2][2] = {{0}};

	what = argc > 1 ? argv[1] : "pipe";
	if (argc > 2 && confine(atoi(argv[2]))) {
		perror("install a filter");
		return 1;
	}
	for (int i = 0; i < 2; i++)
		pthread_create(&thread[i], 0, run, rate[i]);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], 0);
	printf("%.0f %.0f\n", rate[0][0] + rate[1][0], rate[0][1] + rate[1][1]);
	return 0;
}
