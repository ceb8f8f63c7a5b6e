// Makes system calls of which it is known how many there are: for each letter that
// it reads it does one thing, and writes the letter.
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void times(int n, long nr)
{
	while (n--)
		syscall(nr, 0, 0, 0);
}

static void sockets(int n, int family)
{
	while (n--) {
		int fd = socket(family, SOCK_DGRAM, 0);
		if (fd >= 0)
			close(fd);
	}
}

static void *refused(void *arg)
{
	times(5, SYS_getpgid);
	return arg;
}

int main(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpgid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = {sizeof(code) / sizeof(code[0]), code};
	pthread_t thread;
	char c;

	while (read(0, &c, 1) == 1) {
		switch (c) {
		case 'g':
			times(100000, SYS_getpgid);
			break;
#ifdef __x86_64__
		case 'i': // getpid of i386, and socket of it, which filters see
			for (int i = 0; i < 500; i++) {
				long ret;
				__asm__ volatile("int $0x80" : "=a"(ret) : "a"(20) : "memory", "r8", "r9", "r10", "r11");
			}
			for (int i = 0; i < 6; i++) {
				long ret;
				__asm__ volatile("int $0x80" : "=a"(ret) : "a"(359), "b"(12345), "c"(0), "d"(0) : "memory", "r8", "r9", "r10", "r11");
			}
			break;
		case 'x': // getpid of x32
			times(7, 0x40000000 | 39);
			break;
#endif
		case 's':
			sockets(3, AF_UNIX);
			sockets(2, AF_INET);
			break;
		case 'n':
			times(4, 5000);
			times(2, 100000);
			break;
		case 'f':
			prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
			syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter);
			break;
		case 'r':
			times(11, SYS_getpgid);
			break;
		case 't':
			if (!pthread_create(&thread, 0, refused, 0))
				pthread_join(thread, 0);
			break;
		case 'q':
			_exit(0);
		case 'c':
			if (vfork() == 0) {
				times(13, SYS_getpgid);
				_exit(0);
			}
			wait(0);
			break;
		}
		if (write(1, &c, 1) != 1)
			return 1;
	}
	return 0;
}
