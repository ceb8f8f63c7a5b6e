// Compiles seccomp rules by libseccomp, and loads nothing. Commands on standard
// input, one a line, words separated by blanks:
//
//	known NAME                    answers 1 if libseccomp has the call, else 0
//	filter DEFAULT OPTIMIZE       begins a filter; actions are SECCOMP_RET_ values
//	arch TOKEN                    adds an architecture, by libseccomp's name
//	entry ACTION NAME N {INDEX OP VALUE VALUETWO}*
//	                              adds what an OCI runtime does for an entry
//	end                           answers with an errno, or 0
//	                              and then the filter
//
// Where libseccomp does not come to an end, that errno is ETIMEDOUT. An answer is a
// line; the filter is the number of instructions, and each as four
// numbers, all in one line.
#include <errno.h>
#include <linux/filter.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static int add(scmp_filter_ctx ctx, uint32_t action, int nr, unsigned n, struct scmp_arg_cmp *args)
{
	int seen[6] = { 0 }, twice = 0;
	for (unsigned i = 0; i < n; i++)
		twice |= seen[args[i].arg]++ > 0;
	if (!twice)
		return seccomp_rule_add_array(ctx, action, nr, n, args);
	for (unsigned i = 0; i < n; i++) {
		int rc = seccomp_rule_add_array(ctx, action, nr, 1, &args[i]);
		if (rc)
			return rc;
	}
	return 0;
}

static void export(scmp_filter_ctx ctx)
{
	int fd = memfd_create("bpf", 0);
	int rc = seccomp_export_bpf(ctx, fd);
	if (rc) {
		printf("%d\n", -rc);
		return;
	}
	off_t length = lseek(fd, 0, SEEK_END);
	struct sock_filter *f = mmap(NULL, length, PROT_READ, MAP_PRIVATE, fd, 0);
	size_t n = length / sizeof *f;
	printf("0 %zu", n);
	for (size_t i = 0; i < n; i++)
		printf(" %u %u %u %u", f[i].code, f[i].jt, f[i].jf, f[i].k);
	printf("\n");
}

static struct entry {
	uint32_t action;
	char name[256];
	unsigned n;
	struct scmp_arg_cmp args[16];
} entries[512];
static size_t entry_count;
static char archs[16][32];
static size_t arch_count;

static void compile(uint32_t byDefault, int optimize)
{
	scmp_filter_ctx ctx = seccomp_init(byDefault);
	int rc = ctx ? seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, optimize) : -ENOMEM;
	for (size_t i = 0; !rc && i < arch_count; i++) {
		rc = seccomp_arch_add(ctx, seccomp_arch_resolve_name(archs[i]));
		if (rc == -EEXIST)
			rc = 0;
	}
	for (size_t i = 0; !rc && i < entry_count; i++) {
		struct entry *e = &entries[i];
		int nr = seccomp_syscall_resolve_name(e->name);
		if (e->action != byDefault && nr != __NR_SCMP_ERROR)
			rc = add(ctx, e->action, nr, e->n, e->args);
	}
	if (rc)
		printf("%d\n", -rc);
	else
		export(ctx);
}

// compile_within compiles in a child that is given time on the CPU, and not more.
static int compile_within(uint32_t byDefault, int optimize)
{
	struct rlimit limit = { 2, 2 };
	int status;
	pid_t pid = fork();
	if (pid < 0)
		return -1;
	if (pid == 0) {
		setrlimit(RLIMIT_CPU, &limit);
		compile(byDefault, optimize);
		fflush(stdout);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid)
		return -1;
	if (WIFSIGNALED(status))
		printf("%d\n", ETIMEDOUT);
	return 0;
}

static int read_entry(struct entry *e)
{
	if (scanf("%x %255s %u", &e->action, e->name, &e->n) != 3 || e->n > 16)
		return -1;
	for (unsigned i = 0; i < e->n; i++) {
		int op;
		unsigned long long a, b;
		if (scanf("%u %d %llu %llu", &e->args[i].arg, &op, &a, &b) != 4)
			return -1;
		e->args[i].op = op, e->args[i].datum_a = a, e->args[i].datum_b = b;
	}
	return 0;
}

int main(void)
{
	char word[64], name[256];
	uint32_t byDefault = 0;
	int optimize = 0;

	while (scanf("%63s", word) == 1) {
		if (!strcmp(word, "known")) {
			if (scanf("%255s", name) != 1)
				return 2;
			printf("%d\n", seccomp_syscall_resolve_name(name) != __NR_SCMP_ERROR);
		} else if (!strcmp(word, "filter")) {
			if (scanf("%x %d", &byDefault, &optimize) != 2)
				return 2;
			entry_count = arch_count = 0;
		} else if (!strcmp(word, "arch")) {
			if (arch_count == 16 || scanf("%31s", archs[arch_count++]) != 1)
				return 2;
		} else if (!strcmp(word, "entry")) {
			if (entry_count == 512 || read_entry(&entries[entry_count++]))
				return 2;
		} else if (!strcmp(word, "end")) {
			if (compile_within(byDefault, optimize))
				return 2;
		} else {
			return 2;
		}
		fflush(stdout);
	}
	return 0;
}
