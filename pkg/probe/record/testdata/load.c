// Makes calls on two threads, each for a second of processor time, and prints how
// many both made in one such second: 16 KiB written to a pipe and read from it, in
// turn. With an argument it is getpgid, which does next to nothing. Processor time
// it is, so that others on the machine do not count.
#include <pthread.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int nothing;

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void *run(void *arg)
{
	static const int per = 2000;
	char buf[16384];
	int fd[2];
	double begin = now();
	double *rate = arg;
	long calls = 0;

	if (pipe(fd))
		return 0;
	while (now() - begin < 1)
		for (int i = 0; i < per; i += 2) {
			if (nothing) {
				syscall(SYS_getpgid, 0);
				syscall(SYS_getpgid, 0);
			} else if (write(fd[1], buf, sizeof buf) != sizeof buf || read(fd[0], buf, sizeof buf) != sizeof buf) {
				return 0;
			}
			calls += 2;
		}
	*rate = calls / (now() - begin);
	return 0;
}

int main(int argc, char **argv)
{
	pthread_t thread[2];
	double rate[2] = {0};

	nothing = argc > 1;
	for (int i = 0; i < 2; i++)
		pthread_create(&thread[i], 0, run, &rate[i]);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], 0);
	printf("%.0f\n", rate[0] + rate[1]);
	return 0;
}
