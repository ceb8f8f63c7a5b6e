// bare is the least that reading a thread's filters takes, to compare with:
//
//	bare dump TID      prints every filter in hexadecimal, oldest first
//	bare hold TID      traces it, without stopping it, until its input ends
//	bare time TID N    reads the first filter N times and prints for how many
//	                   nanoseconds the thread was held each time
//	bare paced TID N   the same, not in one go: it reads the thread's status and
//	                   sleeps before each, so that the caches are no warmer than
//	                   they are for who looks at one thread after another
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>

#ifndef PTRACE_SECCOMP_GET_FILTER
#define PTRACE_SECCOMP_GET_FILTER 0x420c
#endif

static unsigned char code[4096 * 8];

static long long now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void check(long r, const char *what)
{
	if (r < 0) {
		perror(what);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	pid_t tid = atoi(argv[2]);
	int status;
	if (!strcmp(argv[1], "dump")) {
		check(ptrace(PTRACE_SEIZE, tid, 0, 0), "seize");
		check(ptrace(PTRACE_INTERRUPT, tid, 0, 0), "interrupt");
		check(waitpid(tid, &status, __WALL), "wait");
		for (long i = 0, n; (n = ptrace(PTRACE_SECCOMP_GET_FILTER, tid, i, code)) >= 0; i++) {
			for (long j = 0; j < n * 8; j++)
				printf("%02x", code[j]);
			printf("\n");
		}
		check(errno == ENOENT ? 0 : -1, "get filter");
		check(ptrace(PTRACE_DETACH, tid, 0, 0), "detach");
		return 0;
	}
	if (!strcmp(argv[1], "hold")) {
		check(ptrace(PTRACE_SEIZE, tid, 0, 0), "seize");
		while (getchar() != EOF)
			;
		return 0;
	}
	int paced = !strcmp(argv[1], "paced");
	for (int i = argc > 3 ? atoi(argv[3]) : 1; i > 0; i--) {
		if (paced) {
			static char path[64], text[4096];
			snprintf(path, sizeof path, "/proc/%d/status", tid);
			FILE *f = fopen(path, "r");
			if (!f || !fread(text, 1, sizeof text, f))
				check(-1, path);
			fclose(f);
			nanosleep(&(struct timespec){0, 50000}, NULL);
		}
		check(ptrace(PTRACE_SEIZE, tid, 0, 0), "seize");
		long long begin = now();
		check(ptrace(PTRACE_INTERRUPT, tid, 0, 0), "interrupt");
		check(waitpid(tid, &status, __WALL), "wait");
		check(ptrace(PTRACE_SECCOMP_GET_FILTER, tid, 0, code), "get filter");
		check(ptrace(PTRACE_DETACH, tid, 0, 0), "detach");
		printf("%lld\n", now() - begin);
	}
	return 0;
}
