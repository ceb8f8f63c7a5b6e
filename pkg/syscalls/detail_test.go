package syscalls

import (
	"cmp"
	"math/bits"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestSignatures(t *testing.T) {
	seen := make(map[string]bool)
	for _, table := range [][]signature{recorded64, reviewed64} {
		if !slices.IsSortedFunc(table, func(a, b signature) int { return cmp.Compare(a.name, b.name) }) {
			t.Error("signatures are not sorted by name")
		}
		for _, s := range table {
			if seen[s.name] {
				t.Errorf("%s: twice", s.name)
			}
			seen[s.name] = true
			if len(s.params) > 6 {
				t.Errorf("%s: %d parameters", s.name, len(s.params))
			}
			for _, p := range s.params {
				if p.Name == "" || p.Type == "" || p.Bits != 16 && p.Bits != 32 && p.Bits != 64 {
					t.Errorf("%s: %+v", s.name, p)
				}
				if strings.Contains(p.Type, "*") && (p.Bits != 64 || p.Signed) {
					t.Errorf("%s: pointer %+v", s.name, p)
				}
			}
		}
	}
	// No kernel function may have been recorded under its own name instead of
	// the table's.
	for _, s := range slices.Concat(recorded64, reviewed64) {
		known := slices.ContainsFunc(ABIs(), func(a ABI) bool { _, ok := a.Number(s.name); return ok })
		if !known {
			t.Errorf("%s is in no table", s.name)
		}
	}
}

func TestParams(t *testing.T) {
	format := func(params []Param) string {
		var b strings.Builder
		for _, p := range params {
			b.WriteString(p.Name + ":" + strconv.Itoa(p.Bits))
			if p.Signed {
				b.WriteString("s")
			}
			b.WriteString(" ")
		}
		return strings.TrimSpace(b.String())
	}
	for _, test := range []struct {
		abi    ABI
		call   string
		params string // "": not known
	}{
		{AMD64, "socket", "family:32s type:32s protocol:32s"},
		{ARM64, "socket", "family:32s type:32s protocol:32s"},
		{I386, "socket", "family:32s type:32s protocol:32s"},
		{AMD64, "clone", "clone_flags:64 newsp:64 parent_tidptr:64 child_tidptr:64 tls:64"},
		{ARM64, "clone", "clone_flags:64 newsp:64 parent_tidptr:64 tls:64 child_tidptr:64"},
		{I386, "clone", "clone_flags:32 newsp:32 parent_tidptr:32 tls:32 child_tidptr:32"},
		{S390X, "clone", "newsp:64 clone_flags:64 parent_tidptr:64 child_tidptr:64 tls:64"},
		{AMD64, "chmod", "filename:64 mode:16"},
		{AMD64, "umount2", "name:64 flags:32s"},
		{AMD64, "uname", "name:64"},
		{AMD64, "finit_module", "fd:32s uargs:64 flags:32s"},
		{AMD64, "pread64", "fd:32 buf:64 count:64 pos:64s"},
		{I386, "pread64", ""}, // pos takes two registers
		{I386, "chown", ""},   // 16-bit IDs
		{I386, "chown32", "filename:32 user:32 group:32"},
		{I386, "socketcall", "call:32s args:32"},
		{I386, "mmap", ""}, // one struct
		{S390X, "mmap", "arg:64"},
		{ARM, "mmap2", "addr:32 len:32 prot:32 flags:32 fd:32 pgoff:32"},
		{S390, "mmap2", "arg:32"},
		{X32, "socket", "family:32s type:32s protocol:32s"},
		{X32, "ioctl", "fd:32 cmd:32 arg:32"},
		{X32, "readv", ""},
		{MIPSN32, "socket", ""},
		{AMD64, "socketcall", ""}, // not an amd64 call
		{AMD64, "nosuch", ""},
	} {
		if got := format(test.abi.Params(test.call)); got != test.params {
			t.Errorf("%v: Params(%s) = %q, want %q", test.abi, test.call, got, test.params)
		}
	}
	if p := AMD64.Params("getpid"); p == nil || len(p) != 0 {
		t.Errorf("getpid: %v, want empty but known", p)
	}
	// Narrowing for one ABI must not change the shared table.
	I386.Params("read")
	if p := AMD64.Params("read"); p[1].Bits != 64 {
		t.Errorf("read's buf has %d bits on amd64", p[1].Bits)
	}
	for _, a := range ABIs() {
		for _, s := range a.Table() {
			for _, p := range a.Params(s.Name) {
				if p.Bits > a.Bits() {
					t.Errorf("%v: %s: %s has %d bits", a, s.Name, p.Name, p.Bits)
				}
			}
		}
	}
}

func TestFlagSets(t *testing.T) {
	for _, u := range flagUses {
		at := u.call + "." + u.param
		for _, a := range ABIs() {
			if (u.abis == nil || slices.Contains(u.abis, a)) && a.Flags(u.call, u.param) != u.flags {
				t.Errorf("%v: %s has two sets", a, at)
			}
		}
		known := slices.ContainsFunc(ABIs(), func(a ABI) bool {
			return slices.ContainsFunc(a.Params(u.call), func(p Param) bool { return p.Name == u.param })
		})
		if !known {
			t.Errorf("%s: no ABI has such a parameter", at)
		}
		for _, list := range [][]Flag{u.flags.Values, u.flags.Bits} {
			for i, f := range list {
				if i > 0 && list[i-1].Value >= f.Value {
					t.Errorf("%s: %s is not after %s", at, f.Name, list[i-1].Name)
				}
			}
		}
		for _, f := range u.flags.Values {
			if f.Value&^u.flags.Field != 0 {
				t.Errorf("%s: %s is outside of the field", at, f.Name)
			}
		}
		for _, f := range u.flags.Bits {
			if f.Value == 0 || f.Value&u.flags.Field != 0 {
				t.Errorf("%s: %s = %#x is no set of bits beside the field", at, f.Name, f.Value)
			}
		}
	}
}

func TestFlagsFormat(t *testing.T) {
	for _, test := range []struct {
		abi         ABI
		call, param string
		value       uint64
		want        string
	}{
		{AMD64, "clone", "clone_flags", 0x10000000, "CLONE_NEWUSER"},
		{AMD64, "clone", "clone_flags", 0x1200011, "CLONE_CHILD_SETTID|CLONE_CHILD_CLEARTID|SIGCHLD"},
		{MIPS, "clone", "clone_flags", 18, "SIGCHLD"},
		{AMD64, "clone", "clone_flags", 0, "0x0"},
		{AMD64, "clone", "clone_flags", 0x100000100, "CLONE_VM|0x100000000"},
		{AMD64, "unshare", "unshare_flags", 0x80, "CLONE_NEWTIME"},
		{AMD64, "socket", "family", 38, "AF_ALG"},
		{AMD64, "socket", "family", 1, "AF_UNIX"},
		{AMD64, "socket", "family", 1000, "0x3e8"},
		{AMD64, "socket", "type", 0x80801, "SOCK_CLOEXEC|SOCK_NONBLOCK|SOCK_STREAM"},
		{MIPS, "socket", "type", 2, "SOCK_STREAM"},
		{AMD64, "personality", "personality", 0, "PER_LINUX"},
		{AMD64, "personality", "personality", 8, "PER_LINUX32"},
		{AMD64, "personality", "personality", 0x20008, "UNAME26|PER_LINUX32"},
		{AMD64, "personality", "personality", 0x40000, "ADDR_NO_RANDOMIZE"},
		{AMD64, "personality", "personality", 0xffffffff, "0xffffffff"},
		{AMD64, "ioctl", "cmd", 0x5412, "TIOCSTI"},
		{MIPS, "ioctl", "cmd", 0x5472, "TIOCSTI"},
		{AMD64, "mmap", "prot", 6, "PROT_EXEC|PROT_WRITE"},
		{AMD64, "mmap", "flags", 0x22, "MAP_ANONYMOUS|MAP_PRIVATE"},
		{AMD64, "openat", "flags", 0x80000, "O_CLOEXEC"},
		{AMD64, "openat", "flags", 0, "O_RDONLY"},
		{AMD64, "openat", "flags", 0x101001, "O_SYNC|O_WRONLY"},
		{AMD64, "openat", "flags", 0x410002, "O_TMPFILE|O_RDWR"},
		{AMD64, "futex", "op", 0x80, "FUTEX_PRIVATE_FLAG"},
		{AMD64, "futex", "op", 0x181, "FUTEX_CLOCK_REALTIME|FUTEX_PRIVATE_FLAG|FUTEX_WAKE"},
		{AMD64, "bpf", "cmd", 5, "BPF_PROG_LOAD"},
		{AMD64, "prctl", "option", 22, "PR_SET_SECCOMP"},
		{AMD64, "ptrace", "request", 0x4206, "PTRACE_SEIZE"},
		{I386, "socketcall", "call", 1, "SYS_SOCKET"},
	} {
		f := test.abi.Flags(test.call, test.param)
		if f == nil {
			t.Errorf("%v: no flags for %s.%s", test.abi, test.call, test.param)
			continue
		}
		if got := f.Format(test.value); got != test.want {
			t.Errorf("%v: %s.%s %#x = %q, want %q", test.abi, test.call, test.param, test.value, got, test.want)
		}
	}
	if f := AMD64.Flags("read", "fd"); f != nil {
		t.Errorf("read.fd: %v, want none", f)
	}
	mask := AMD64.Flags("clone", "clone_flags").FormatMask(0x7e020000)
	if want := "CLONE_NEWNET|CLONE_NEWPID|CLONE_NEWUSER|CLONE_NEWIPC|CLONE_NEWUTS|CLONE_NEWCGROUP|CLONE_NEWNS"; mask != want {
		t.Errorf("FormatMask = %q, want %q", mask, want)
	}
	if got := AMD64.Flags("clone", "clone_flags").FormatMask(0x800000ff); got != "CLONE_IO|0xff" {
		t.Errorf("FormatMask of the signal byte = %q", got)
	}
}

// What Format writes must mean the value it was given, whatever it is.
func FuzzFlagsFormat(f *testing.F) {
	for i := range flagUses {
		for _, v := range []uint64{0, 1, 0x1200011, 0x80801, 0x410002, 1 << 31, 1<<32 - 1, 1 << 63, 1<<64 - 1} {
			f.Add(i, v)
		}
	}
	f.Fuzz(func(t *testing.T, i int, v uint64) {
		if i < 0 || i >= len(flagUses) {
			return
		}
		flags := flagUses[i].flags
		for _, text := range []string{flags.Format(v), flags.FormatMask(v)} {
			var sum uint64
			for _, term := range strings.Split(text, "|") {
				n, ok := flags.Value(term)
				if !ok {
					var err error
					if n, err = strconv.ParseUint(term, 0, 64); err != nil {
						t.Fatalf("%#x: %q: %v", v, text, err)
					}
				}
				sum |= n
			}
			if sum != v {
				t.Errorf("%s.%s: %#x is written %q, which is %#x", flagUses[i].call, flagUses[i].param, v, text, sum)
			}
		}
		if n := strings.Count(flags.Format(v), "|"); n > bits.OnesCount64(v) {
			t.Errorf("%#x: more terms than bits", v)
		}
	})
}

func TestBackgrounds(t *testing.T) {
	inSomeTable := func(name string) bool {
		return slices.ContainsFunc(ABIs(), func(a ABI) bool { _, ok := a.Number(name); return ok })
	}
	reCapability := regexp.MustCompile(`^CAP_[A-Z_]+$`)
	reRelease := regexp.MustCompile(`^\d+\.\d+(\.\d+)?$`)
	for i, b := range backgrounds {
		if i > 0 && backgrounds[i-1].Name >= b.Name {
			t.Errorf("%s is not after %s", b.Name, backgrounds[i-1].Name)
		}
		if !inSomeTable(b.Name) {
			t.Errorf("%s is in no table", b.Name)
		}
		if got, ok := BackgroundOf(b.Name); !ok || got.What != b.What || b.What == "" {
			t.Errorf("BackgroundOf(%s) = %+v, %t", b.Name, got, ok)
		}
		if b.Capability != "" && !reCapability.MatchString(b.Capability) || b.For != "" && b.Capability == "" {
			t.Errorf("%s: capability %q for %q", b.Name, b.Capability, b.For)
		}
		if b.Since != "" && !reRelease.MatchString(b.Since) {
			t.Errorf("%s: since %q", b.Name, b.Since)
		}
		for _, twin := range b.Twins {
			if twin == b.Name || !inSomeTable(twin) {
				t.Errorf("%s: twin %q", b.Name, twin)
			}
		}
		if !slices.IsSorted(b.Twins) {
			t.Errorf("%s: twins are not sorted", b.Name)
		}
		for _, text := range []string{b.What, b.Risk, b.For} {
			if strings.ContainsAny(text, "\n\t") || strings.HasSuffix(text, ".") {
				t.Errorf("%s: %q is not one phrase", b.Name, text)
			}
		}
	}
	if _, ok := BackgroundOf("read"); ok {
		t.Error("read: want no background")
	}
}
