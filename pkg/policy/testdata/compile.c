// Compiles rules with libseccomp and writes the filter, raw, to stdout.
//
// usage: compile DEFAULT OPTIMIZE [ARCH…] < rules
//
// DEFAULT is a number, the action of calls without a rule. OPTIMIZE is
// SCMP_FLTATR_CTL_OPTIMIZE: 1 for a chain of comparisons, 2 for a binary tree.
// Each ARCH, by libseccomp's name, is added to the machine's own; one behind "=" takes
// its place. Syscalls are numbered as on this machine in either case.
// A rule is a line of numbers: action, syscall, and for each comparison
// argument, operator (SCMP_CMP_*), first and second datum.
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void check(int rc, const char *what) {
	if (rc < 0) {
		fprintf(stderr, "%s: %s\n", what, strerror(-rc));
		exit(1);
	}
}

int main(int argc, char **argv) {
	if (argc < 3)
		return 2;
	scmp_filter_ctx ctx = seccomp_init(strtoul(argv[1], NULL, 0));
	if (ctx == NULL)
		return 1;
	check(seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, atoi(argv[2])), "optimize");
	for (int i = 3; i < argc; i++) {
		const char *name = argv[i];
		if (*name == '=') {
			check(seccomp_arch_remove(ctx, SCMP_ARCH_NATIVE), "remove native");
			name++;
		}
		check(seccomp_arch_add(ctx, seccomp_arch_resolve_name(name)), name);
	}

	char line[1024];
	while (fgets(line, sizeof line, stdin) != NULL) {
		char *p = line;
		unsigned action = strtoul(p, &p, 0);
		int nr = strtol(p, &p, 0);
		struct scmp_arg_cmp cmp[6];
		unsigned n = 0;
		for (; n < 6; n++) {
			while (*p == ' ')
				p++;
			if (*p == '\n' || *p == 0)
				break;
			cmp[n].arg = strtoul(p, &p, 0);
			cmp[n].op = strtoul(p, &p, 0);
			cmp[n].datum_a = strtoull(p, &p, 0);
			cmp[n].datum_b = strtoull(p, &p, 0);
		}
		check(seccomp_rule_add_array(ctx, action, nr, n, cmp), line);
	}
	check(seccomp_export_bpf(ctx, STDOUT_FILENO), "export");
	return 0;
}
