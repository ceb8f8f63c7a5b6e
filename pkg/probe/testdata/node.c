// node is a machine full of containers: node FILTER BUNDLES PROCESSES CGROUP...
//
// For each CGROUP it starts what stands for a shim, in the folder of BUNDLES that
// the cgroup's last element ends with after a dash (cri-containerd-ID.scope), and
// below it, in the cgroup, an init with PROCESSES-1 children. All of them run
// under one filter, read from the file FILTER: it is installed once. It prints
// "ready" when all are, and ends when all that is in the cgroups was killed.
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void install(const char *file)
{
	static struct sock_filter code[4096];
	int fd = open(file, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, code, sizeof code);
	if (n <= 0)
		die(file);
	close(fd);
	struct sock_fprog prog = {n / sizeof code[0], code};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog))
		die("seccomp");
}

// orphan ends with its parent.
static void orphan(void)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0))
		die("prctl");
}

static void reap(void)
{
	while (wait(NULL) > 0 || errno == EINTR)
		;
}

// container runs in a process of its own. It writes to the pipe for each of the
// container's processes that is ready.
static void container(const char *bundles, int processes, const char *cgroup, int pipe)
{
	char path[4096];
	const char *scope = strrchr(cgroup, '-');
	orphan();
	if (!scope)
		die(cgroup);
	snprintf(path, sizeof path, "%s/%.64s", bundles, scope + 1);
	if (chdir(path) || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
		die(path);
	if (fork()) {
		reap();
		_exit(0);
	}
	orphan();
	snprintf(path, sizeof path, "%s/cgroup.procs", cgroup);
	int fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, "0", 1) != 1)
		die(path);
	close(fd);
	for (int i = 1; i < processes; i++)
		if (fork() == 0) {
			orphan();
			break;
		}
	if (write(pipe, ".", 1) != 1)
		die("write");
	pause();
	_exit(1);
}

int main(int argc, char **argv)
{
	int fds[2];
	char c;
	if (argc < 5 || pipe(fds))
		return 2;
	int processes = atoi(argv[3]);
	install(argv[1]);
	for (int i = 4; i < argc; i++)
		if (fork() == 0)
			container(argv[2], processes, argv[i], fds[1]);
	for (int n = (argc - 4) * processes; n > 0; n--)
		if (read(fds[0], &c, 1) != 1)
			die("read");
	if (write(1, "ready\n", 6) != 6)
		die("write");
	reap();
	return 0;
}
