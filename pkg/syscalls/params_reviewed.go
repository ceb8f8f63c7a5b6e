package syscalls

// reviewed64 has the parameters of calls that recorded64 lacks: the recording
// kernel was built without them, or is older. They are written down from the
// SYSCALL_DEFINE that each comment names and agree with the man page of
// section 2, where there is one. Sorted by name.
var reviewed64 = []signature{
	// kernel/module/main.c
	{"delete_module", []Param{{"name_user", "const char *", 64, false}, {"flags", "unsigned int", 32, false}}},
	// kernel/module/main.c
	{"finit_module", []Param{{"fd", "int", 32, true}, {"uargs", "const char *", 64, false}, {"flags", "int", 32, true}}},
	// kernel/module/main.c
	{"init_module", []Param{{"umod", "void *", 64, false}, {"len", "unsigned long", 64, false}, {"uargs", "const char *", 64, false}}},
	// ipc/syscall.c
	{"ipc", []Param{{"call", "unsigned int", 32, false}, {"first", "int", 32, true}, {"second", "unsigned long", 64, false}, {"third", "unsigned long", 64, false}, {"ptr", "void *", 64, false}, {"fifth", "long", 64, true}}},
	// kernel/kexec_file.c
	{"kexec_file_load", []Param{{"kernel_fd", "int", 32, true}, {"initrd_fd", "int", 32, true}, {"cmdline_len", "unsigned long", 64, false}, {"cmdline_ptr", "const char *", 64, false}, {"flags", "unsigned long", 64, false}}},
	// kernel/kexec.c
	{"kexec_load", []Param{{"entry", "unsigned long", 64, false}, {"nr_segments", "unsigned long", 64, false}, {"segments", "struct kexec_segment *", 64, false}, {"flags", "unsigned long", 64, false}}},
	// fs/dcookies.c, until Linux 5.11
	{"lookup_dcookie", []Param{{"cookie64", "u64", 64, false}, {"buf", "char *", 64, false}, {"len", "size_t", 64, false}}},
	// arch/x86/kernel/shstk.c
	{"map_shadow_stack", []Param{{"addr", "unsigned long", 64, false}, {"size", "unsigned long", 64, false}, {"flags", "unsigned int", 32, false}}},
	// mm/mmap.c (mmap_pgoff): 32-bit ABIs only
	{"mmap2", []Param{{"addr", "unsigned long", 64, false}, {"len", "unsigned long", 64, false}, {"prot", "unsigned long", 64, false}, {"flags", "unsigned long", 64, false}, {"fd", "unsigned long", 64, false}, {"pgoff", "unsigned long", 64, false}}},
	// net/socket.c
	{"socketcall", []Param{{"call", "int", 32, true}, {"args", "unsigned long *", 64, false}}},
	// fs/exec.c of kernels with CONFIG_USELIB
	{"uselib", []Param{{"library", "const char *", 64, false}}},
}

// differ has the calls whose parameters depend on the architecture.
var differ = []struct {
	name   string
	abis   []ABI
	params []Param
}{
	// kernel/fork.c, CONFIG_CLONE_BACKWARDS: tls before child_tidptr; clone(2)
	// lists the architectures. The IA-32 emulation of x86-64 has the same
	// order (arch/x86/kernel/sys_ia32.c).
	{"clone", []ABI{ARM64, RISCV64, PPC64, PPC64LE, MIPS64, MIPS64LE}, []Param{
		{"clone_flags", "unsigned long", 64, false}, {"newsp", "unsigned long", 64, false},
		{"parent_tidptr", "int *", 64, false}, {"tls", "unsigned long", 64, false}, {"child_tidptr", "int *", 64, false}}},
	{"clone", []ABI{I386, ARM, PPC, MIPS, MIPSLE}, []Param{
		{"clone_flags", "unsigned long", 32, false}, {"newsp", "unsigned long", 32, false},
		{"parent_tidptr", "int *", 32, false}, {"tls", "unsigned long", 32, false}, {"child_tidptr", "int *", 32, false}}},
	// CONFIG_CLONE_BACKWARDS2: the stack comes first.
	{"clone", []ABI{S390X}, []Param{
		{"newsp", "unsigned long", 64, false}, {"clone_flags", "unsigned long", 64, false},
		{"parent_tidptr", "int *", 64, false}, {"child_tidptr", "int *", 64, false}, {"tls", "unsigned long", 64, false}}},
	{"clone", []ABI{S390}, []Param{
		{"newsp", "unsigned long", 32, false}, {"clone_flags", "unsigned long", 32, false},
		{"parent_tidptr", "int *", 32, false}, {"child_tidptr", "int *", 32, false}, {"tls", "unsigned long", 32, false}}},
	// arch/s390/kernel/syscall.c (old_mmap)
	{"mmap", []ABI{S390X}, []Param{{"arg", "struct s390_mmap_arg_struct *", 64, false}}},
	// arch/s390/kernel/compat_linux.c
	{"mmap2", []ABI{S390}, []Param{{"arg", "struct mmap_arg_struct_emu31 *", 32, false}}},
	{"ipc", []ABI{S390}, []Param{{"call", "uint", 32, false}, {"first", "int", 32, true}, {"second", "compat_ulong_t", 32, false}, {"third", "compat_ulong_t", 32, false}, {"ptr", "compat_uptr_t", 32, false}}},
	// arch/s390/kernel/syscall.c: no sixth argument
	{"ipc", []ABI{S390X}, []Param{{"call", "uint", 32, false}, {"first", "int", 32, true}, {"second", "unsigned long", 64, false}, {"third", "unsigned long", 64, false}, {"ptr", "void *", 64, false}}},
	// arch/powerpc/kernel/syscalls.c
	{"personality", []ABI{PPC64, PPC64LE}, []Param{{"personality", "unsigned long", 64, false}}},
	// arch/mips/kernel/syscall.c (sysm_pipe): both descriptors are returned
	// in registers
	{"pipe", []ABI{MIPS64, MIPS64LE, MIPS, MIPSLE}, []Param{}},
	// fs/ioctl.c, COMPAT_SYSCALL_DEFINE3
	{"ioctl", []ABI{X32}, []Param{{"fd", "unsigned int", 32, false}, {"cmd", "unsigned int", 32, false}, {"arg", "compat_ulong_t", 32, false}}},
}

// notIn32 are names that stand for another function in 32-bit tables: with
// 16-bit IDs on some, with a struct or an older layout on others.
var notIn32 = []string{
	"chown", "fchown", "lchown",
	"getuid", "geteuid", "getgid", "getegid", "getgroups", "setgroups",
	"setuid", "setgid", "setreuid", "setregid", "setfsuid", "setfsgid",
	"setresuid", "getresuid", "setresgid", "getresgid",
	"stat", "fstat", "lstat", "getrlimit", "mmap", "select",
}
