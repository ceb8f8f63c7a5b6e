package syscalls

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestTableOrder(t *testing.T) {
	for _, a := range ABIs() {
		table := a.Table()
		if len(table) < 300 {
			t.Errorf("%v: only %d calls", a, len(table))
		}
		if !slices.IsSortedFunc(table, func(a, b Syscall) int { return cmp.Compare(a.Number, b.Number) }) {
			t.Errorf("%v: not sorted by number", a)
		}
		names := make(map[string]uint32)
		for i, s := range table {
			if i > 0 && table[i-1].Number == s.Number {
				t.Errorf("%v: %d twice", a, s.Number)
			}
			if other, ok := names[s.Name]; ok {
				t.Errorf("%v: %s is both %d and %d", a, s.Name, other, s.Number)
			}
			names[s.Name] = s.Number
			if n, ok := a.Number(s.Name); !ok || n != s.Number {
				t.Errorf("%v: Number(%q) = %d, %t, want %d", a, s.Name, n, ok, s.Number)
			}
			if name, ok := a.Name(s.Number); !ok || name != s.Name {
				t.Errorf("%v: Name(%d) = %q, %t, want %q", a, s.Number, name, ok, s.Name)
			}
			if of, ok := Of(a.AuditArch(), s.Number); !ok || of != a {
				t.Errorf("%v: Of(%s, %#x) = %v, %t", a, ArchName(a.AuditArch()), s.Number, of, ok)
			}
		}
		for _, s := range a.info().renamed {
			if name, ok := a.Name(s.Number); !ok || name == s.Name {
				t.Errorf("%v: %q is no second name: %d is %q", a, s.Name, s.Number, name)
			}
			if n, ok := a.Number(s.Name); !ok || n != s.Number {
				t.Errorf("%v: Number(%q) = %d, %t, want %d", a, s.Name, n, ok, s.Number)
			}
		}
	}
}

// Numbers as the kernel's tables (arch/*/kernel/syscalls/*.tbl and
// include/uapi/asm-generic/unistd.h) have them, copied by hand.
func TestWellKnownNumbers(t *testing.T) {
	names := []string{"read", "openat", "clone", "execve", "socket", "seccomp", "bpf", "clone3"}
	generic := []uint32{63, 56, 220, 221, 198, 277, 280, 435}
	for _, test := range []struct {
		abis    []ABI
		numbers []uint32
	}{
		{[]ABI{AMD64}, []uint32{0, 257, 56, 59, 41, 317, 321, 435}},
		{[]ABI{X32}, []uint32{1 << 30, 1<<30 + 257, 1<<30 + 56, 1<<30 + 520, 1<<30 + 41, 1<<30 + 317, 1<<30 + 321, 1<<30 + 435}},
		{[]ABI{I386}, []uint32{3, 295, 120, 11, 359, 354, 357, 435}},
		{[]ABI{ARM64, RISCV64, LOONG64}, generic},
		{[]ABI{ARM}, []uint32{3, 322, 120, 11, 281, 383, 386, 435}},
		{[]ABI{PPC64LE, PPC64, PPC}, []uint32{3, 286, 120, 11, 326, 358, 361, 435}},
		{[]ABI{S390X, S390}, []uint32{3, 288, 120, 11, 359, 348, 351, 435}},
		{[]ABI{MIPS64LE, MIPS64}, []uint32{5000, 5247, 5055, 5057, 5040, 5312, 5315, 5435}},
		{[]ABI{MIPSN32LE, MIPSN32}, []uint32{6000, 6251, 6055, 6057, 6040, 6316, 6319, 6435}},
		{[]ABI{MIPSLE, MIPS}, []uint32{4003, 4288, 4120, 4011, 4183, 4352, 4355, 4435}},
	} {
		for _, a := range test.abis {
			for i, name := range names {
				if n, ok := a.Number(name); !ok || n != test.numbers[i] {
					t.Errorf("%v: %s = %d, %t, want %d", a, name, n, ok, test.numbers[i])
				}
			}
		}
	}
	for _, test := range []struct {
		abi    ABI
		name   string
		number uint32
	}{
		{ARM, "set_tls", 0xf0005}, {ARM, "arm_sync_file_range", 341}, {ARM, "sync_file_range2", 341},
		{I386, "socketcall", 102}, {AMD64, "_sysctl", 156}, {AMD64, "uretprobe", 335}, {ARM64, "newfstatat", 79},
		{I386, "fstatat64", 300}, {X32, "preadv2", 1<<30 + 546}, {S390X, "s390_pci_mmio_write", 352}, {S390, "memfd_secret", 447},
		{RISCV64, "riscv_hwprobe", 258},
	} {
		if n, ok := test.abi.Number(test.name); !ok || n != test.number {
			t.Errorf("%v: %s = %d, %t, want %d", test.abi, test.name, n, ok, test.number)
		}
	}
	// What is no call in any table: markers of the headers, and an x86-64
	// call that x32 does not have.
	for _, test := range []struct {
		abi  ABI
		name string
	}{{ARM64, "arch_specific_syscall"}, {ARM, "syscall_mask"}, {MIPS, "linux"}, {X32, "map_shadow_stack"}, {AMD64, ""}} {
		if n, ok := test.abi.Number(test.name); ok {
			t.Errorf("%v: %q is %d, want none", test.abi, test.name, n)
		}
	}
}

// goABIs are the ABIs that the Go distribution has tables for.
var goABIs = map[string][]ABI{
	"amd64": {AMD64}, "386": {I386}, "arm64": {ARM64}, "arm": {ARM}, "ppc64le": {PPC64LE}, "ppc64": {PPC64}, "s390x": {S390X},
	"riscv64": {RISCV64}, "loong64": {LOONG64}, "mips64le": {MIPS64LE}, "mips64": {MIPS64}, "mipsle": {MIPSLE}, "mips": {MIPS},
}

// goSyscall reads a file of Go's own package syscall, whose tables were made
// from other kernels' headers by other means than those of x/sys.
func goSyscall(t *testing.T, file string) string {
	t.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatalf("go env GOROOT: %v", err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(root)), "src", "syscall", file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// goDiffers are the names in Go's tables that ours do not have, and why.
var goDiffers = map[string][]string{
	// fstatat is the name of the source that both 64- and 32-bit tables are
	// made of: the 64-bit call is newfstatat. sync_file_range2 is number 84 of
	// architectures other than arm64.
	"arm64":   {"arch_specific_syscall", "fstatat", "sync_file_range2"},
	"riscv64": {"arch_specific_syscall", "fstatat"},
	"loong64": {"arch_specific_syscall"},
	// Calls of the old ABI, which an EABI kernel does not have, and its base.
	"arm": {"alarm", "getrlimit", "ipc", "mmap", "oabi_syscall_base", "readdir", "select", "socketcall", "stime", "syscall",
		"syscall_base", "time", "umount", "utime"},
	// A second name of madvise, which the kernel's headers no longer have.
	"386": {"madvise1"},
	// Counts, not calls.
	"mips":   {"64_linux_syscalls", "linux_syscalls", "n32_linux_syscalls", "o32_linux_syscalls"},
	"mipsle": {"64_linux_syscalls", "linux_syscalls", "n32_linux_syscalls", "o32_linux_syscalls"},
}

func TestNumbersAgainstGo(t *testing.T) {
	re := regexp.MustCompile(`(?m)^\tSYS_(\w+)\s*=\s*(\w+)`)
	for goarch, abis := range goABIs {
		rows := re.FindAllStringSubmatch(goSyscall(t, "zsysnum_linux_"+goarch+".go"), -1)
		if len(rows) < 250 {
			t.Errorf("%s: only %d numbers in Go's table", goarch, len(rows))
		}
		for _, a := range abis {
			var missing []string
			for _, row := range rows {
				name := strings.ToLower(row[1])
				want, err := strconv.ParseUint(row[2], 0, 32)
				if err != nil {
					t.Fatalf("%s: %q: %v", goarch, row[0], err)
				}
				n, ok := a.Number(name)
				if !ok {
					missing = append(missing, name)
				} else if n != uint32(want) {
					t.Errorf("%v: %s is %d, in Go's package syscall %d", a, name, n, want)
				}
			}
			slices.Sort(missing)
			if !slices.Equal(missing, goDiffers[goarch]) {
				t.Errorf("%v: Go's package syscall has %q, which are not here; want only %q", a, missing, goDiffers[goarch])
			}
		}
	}
}

func TestErrnosAgainstGo(t *testing.T) {
	re := regexp.MustCompile(`(?m)^\t(E\w+)\s*=\s*Errno\((\w+)\)`)
	for goarch, abis := range goABIs {
		rows := re.FindAllStringSubmatch(goSyscall(t, "zerrors_linux_"+goarch+".go"), -1)
		if len(rows) < 130 {
			t.Errorf("%s: only %d errors in Go's table", goarch, len(rows))
		}
		for _, row := range rows {
			want, err := strconv.ParseUint(row[2], 0, 16)
			if err != nil {
				t.Fatalf("%s: %q: %v", goarch, row[0], err)
			}
			for _, a := range abis {
				n, ok := a.ErrnoNumber(row[1])
				if !ok || n != uint16(want) {
					t.Errorf("%v: %s = %d, %t; in Go's package syscall %d", a, row[1], n, ok, want)
				}
				name, ok := a.Errno(n)
				if back, _ := a.ErrnoNumber(name); !ok || back != n {
					t.Errorf("%v: Errno(%d) = %q, %t, whose number is %d", a, n, name, ok, back)
				}
			}
		}
	}
}

func TestErrno(t *testing.T) {
	for _, test := range []struct {
		abi    ABI
		number uint16
		name   string
	}{
		{AMD64, 1, "EPERM"}, {AMD64, 11, "EAGAIN"}, {AMD64, 35, "EDEADLK"}, {X32, 38, "ENOSYS"}, {S390, 38, "ENOSYS"},
		{PPC64LE, 58, "EDEADLOCK"}, {PPC, 35, "EDEADLK"}, {MIPS64LE, 89, "ENOSYS"}, {MIPSN32, 45, "EDEADLK"}, {MIPSLE, 1133, "EDQUOT"},
		{AMD64, 0, ""}, {AMD64, 41, ""}, {AMD64, 4095, ""}, {0, 1, ""},
	} {
		if name, ok := test.abi.Errno(test.number); name != test.name || ok != (test.name != "") {
			t.Errorf("%v: Errno(%d) = %q, %t, want %q", test.abi, test.number, name, ok, test.name)
		}
	}
	if n, ok := AMD64.ErrnoNumber("EWOULDBLOCK"); !ok || n != 11 {
		t.Errorf("EWOULDBLOCK = %d, %t, want 11", n, ok)
	}
	if n, ok := AMD64.ErrnoNumber("ENOTSUP"); !ok || n != 95 {
		t.Errorf("ENOTSUP = %d, %t, want 95", n, ok)
	}
}

// The values of abi.go are written by hand, the names come from x/sys.
func TestAuditArch(t *testing.T) {
	for _, test := range []struct {
		abi   ABI
		name  string
		order binary.ByteOrder
		bits  int
	}{
		{AMD64, "AUDIT_ARCH_X86_64", binary.LittleEndian, 64}, {X32, "AUDIT_ARCH_X86_64", binary.LittleEndian, 64},
		{I386, "AUDIT_ARCH_I386", binary.LittleEndian, 32}, {ARM64, "AUDIT_ARCH_AARCH64", binary.LittleEndian, 64},
		{ARM, "AUDIT_ARCH_ARM", binary.LittleEndian, 32}, {PPC64LE, "AUDIT_ARCH_PPC64LE", binary.LittleEndian, 64},
		{S390X, "AUDIT_ARCH_S390X", binary.BigEndian, 64}, {RISCV64, "AUDIT_ARCH_RISCV64", binary.LittleEndian, 64},
		{LOONG64, "AUDIT_ARCH_LOONGARCH64", binary.LittleEndian, 64}, {MIPS64LE, "AUDIT_ARCH_MIPSEL64", binary.LittleEndian, 64},
		{PPC64, "AUDIT_ARCH_PPC64", binary.BigEndian, 64}, {PPC, "AUDIT_ARCH_PPC", binary.BigEndian, 32},
		{S390, "AUDIT_ARCH_S390", binary.BigEndian, 32}, {MIPS64, "AUDIT_ARCH_MIPS64", binary.BigEndian, 64},
		{MIPSN32LE, "AUDIT_ARCH_MIPSEL64N32", binary.LittleEndian, 64}, {MIPSN32, "AUDIT_ARCH_MIPS64N32", binary.BigEndian, 64},
		{MIPSLE, "AUDIT_ARCH_MIPSEL", binary.LittleEndian, 32}, {MIPS, "AUDIT_ARCH_MIPS", binary.BigEndian, 32},
	} {
		if name := ArchName(test.abi.AuditArch()); name != test.name {
			t.Errorf("%v: arch %#x is %s, want %s", test.abi, test.abi.AuditArch(), name, test.name)
		}
		if test.abi.ByteOrder() != test.order || test.abi.Bits() != test.bits {
			t.Errorf("%v: %v, %d bits, want %v, %d", test.abi, test.abi.ByteOrder(), test.abi.Bits(), test.order, test.bits)
		}
	}
	if s := ArchName(0xdeadbeef); s != "0xdeadbeef" {
		t.Errorf("ArchName(0xdeadbeef) = %q", s)
	}
}

func TestOf(t *testing.T) {
	x86, i386 := AMD64.AuditArch(), I386.AuditArch()
	for _, test := range []struct {
		arch, nr uint32
		abi      ABI
	}{
		{x86, 0, AMD64}, {x86, 0x3fffffff, AMD64}, {x86, 0x40000000, X32}, {x86, 0x7fffffff, X32},
		{x86, 0x80000000, AMD64}, {x86, 0xc0000000, AMD64}, {x86, 0xffffffff, AMD64},
		{i386, 0x40000000, I386}, {0xc00000b7, 0x40000000, ARM64}, {0, 0, 0}, {0xdeadbeef, 0, 0},
	} {
		if abi, ok := Of(test.arch, test.nr); abi != test.abi || ok != (test.abi != 0) {
			t.Errorf("Of(%#x, %#x) = %v, %t, want %v", test.arch, test.nr, abi, ok, test.abi)
		}
	}
}

func TestOfMachine(t *testing.T) {
	if got := OfMachine("amd64"); !slices.Equal(got, []ABI{AMD64, X32, I386}) {
		t.Errorf("OfMachine(amd64) = %v", got)
	}
	if got := OfMachine("vax"); got != nil {
		t.Errorf("OfMachine(vax) = %v, want none", got)
	}
	for goarch, abis := range goABIs {
		got := OfMachine(goarch)
		if len(got) == 0 || got[0] != abis[0] || got[0].String() != goarch {
			t.Errorf("OfMachine(%s) = %v, want the native ABI first", goarch, got)
			continue
		}
		for _, a := range got { // a filter has one byte order for all of them
			if a.ByteOrder() != got[0].ByteOrder() {
				t.Errorf("%s: %v and %v differ in byte order", goarch, a, got[0])
			}
		}
	}
}

func TestParseABI(t *testing.T) {
	for _, a := range ABIs() {
		for _, s := range append([]string{a.String(), a.SCMP()}, a.info().aliases...) {
			if got, err := ParseABI(s); err != nil || got != a {
				t.Errorf("ParseABI(%q) = %v, %v, want %v", s, got, err, a)
			}
		}
		if got, err := ParseSCMP(a.SCMP()); err != nil || got != a {
			t.Errorf("ParseSCMP(%q) = %v, %v, want %v", a.SCMP(), got, err, a)
		}
	}
	for _, s := range []string{"", "AMD64", "SCMP_ARCH_", "SCMP_ARCH_x86_64", "SCMP_ARCH_PARISC", "amd64 "} {
		if got, err := ParseABI(s); err == nil {
			t.Errorf("ParseABI(%q) = %v, want an error", s, got)
		}
	}
	if _, err := ParseSCMP("amd64"); err == nil {
		t.Error(`ParseSCMP("amd64"): want an error`)
	}
}

// A value that no constructor gives must not panic anywhere.
func TestUnknownABI(t *testing.T) {
	for _, a := range []ABI{0, abiEnd, 255} {
		if s := a.String(); s != fmt.Sprintf("ABI(%d)", uint8(a)) {
			t.Errorf("String() = %q", s)
		}
		_, named := a.Name(0)
		_, numbered := a.Number("read")
		if named || numbered || a.Table() != nil || a.AuditArch() != 0 || a.Bits() != 0 || a.SCMP() != "" || a.Params("read") != nil {
			t.Errorf("%v knows something", a)
		}
	}
}

func BenchmarkName(b *testing.B) {
	table := AMD64.Table()
	i := 0
	for b.Loop() {
		if _, ok := AMD64.Name(table[i].Number); !ok {
			b.Fatal(i)
		}
		if i++; i == len(table) {
			i = 0
		}
	}
}

func BenchmarkNumber(b *testing.B) {
	table := AMD64.Table()
	AMD64.Number("read") // builds the index
	b.ResetTimer()
	i := 0
	for b.Loop() {
		if _, ok := AMD64.Number(table[i].Name); !ok {
			b.Fatal(i)
		}
		if i++; i == len(table) {
			i = 0
		}
	}
}
