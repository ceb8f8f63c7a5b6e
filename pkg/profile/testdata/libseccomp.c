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
// An answer is a line; the filter is the number of instructions, and each as four
// numbers, all in one line.
#include <errno.h>
#include <linux/filter.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
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
		close(fd);
		return;
	}
	off_t length = lseek(fd, 0, SEEK_END);
	struct sock_filter *f = mmap(NULL, length, PROT_READ, MAP_PRIVATE, fd, 0);
	size_t n = length / sizeof *f;
	printf("0 %zu", n);
	for (size_t i = 0; i < n; i++)
		printf(" %u %u %u %u", f[i].code, f[i].jt, f[i].jf, f[i].k);
	printf("\n");
	munmap(f, length);
	close(fd);
}

int main(void)
{
	scmp_filter_ctx ctx = NULL;
	uint32_t byDefault = 0, action;
	int failed = 0, optimize;
	char word[64], name[256];

	while (scanf("%63s", word) == 1) {
		if (!strcmp(word, "known")) {
			if (scanf("%255s", name) != 1)
				return 2;
			printf("%d\n", seccomp_syscall_resolve_name(name) != __NR_SCMP_ERROR);
		} else if (!strcmp(word, "filter")) {
			if (scanf("%x %d", &byDefault, &optimize) != 2 || !(ctx = seccomp_init(byDefault)))
				return 2;
			failed = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, optimize);
		} else if (!strcmp(word, "arch")) {
			if (scanf("%255s", name) != 1)
				return 2;
			int rc = seccomp_arch_add(ctx, seccomp_arch_resolve_name(name));
			if (rc && rc != -EEXIST)
				failed = rc;
		} else if (!strcmp(word, "entry")) {
			struct scmp_arg_cmp args[32];
			unsigned n;
			if (scanf("%x %255s %u", &action, name, &n) != 3 || n > 32)
				return 2;
			for (unsigned i = 0; i < n; i++) {
				int op;
				unsigned long long a, b;
				if (scanf("%u %d %llu %llu", &args[i].arg, &op, &a, &b) != 4)
					return 2;
				args[i].op = op, args[i].datum_a = a, args[i].datum_b = b;
			}
			int nr = seccomp_syscall_resolve_name(name);
			if (failed || action == byDefault || nr == __NR_SCMP_ERROR)
				continue;
			failed = add(ctx, action, nr, n, args);
		} else if (!strcmp(word, "end")) {
			if (failed)
				printf("%d\n", -failed);
			else
				export(ctx);
			seccomp_release(ctx);
			ctx = NULL;
			failed = 0;
		} else {
			return 2;
		}
		fflush(stdout);
	}
	return 0;
}
