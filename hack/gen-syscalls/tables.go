package main

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A table says where the numbers of one syscall table come from.
type table struct {
	name   string   // of the Go variable, and of the ABI
	goarch string   // of x/sys; empty if the headers are the only source
	debian string   // architecture of the headers; empty if Debian has none
	macros []string // by which the headers know the ABI
	base   uint32   // added to every number by the ABI
	extra  []call   // numbers that no header defines as __NR_*

	// Where goarch is empty: the ABI of the same architecture that has the
	// newer calls too, its base, and those of its calls that this one lacks.
	sibling     string
	siblingBase uint32
	without     []string
}

type call struct {
	name   string
	number uint32
}

// lp64 is what asm/bitsperlong.h looks at, of one architecture or the other.
var lp64 = []string{"-D__LP64__", "-D__SIZEOF_POINTER__=8"}

var mipsSims = []string{"-D_MIPS_SIM_ABI32=1", "-D_MIPS_SIM_NABI32=2", "-D_MIPS_SIM_ABI64=3", "-D_ABIO32=1", "-D_ABIN32=2", "-D_ABI64=3"}

var tables = []table{
	{name: "amd64", goarch: "amd64", debian: "amd64", macros: []string{"-D__x86_64__"}},
	// arch/x86/entry/syscalls/syscall_64.tbl gives map_shadow_stack the ABI
	// "64", not "common".
	{name: "x32", debian: "x32", macros: []string{"-D__x86_64__", "-D__ILP32__"}, base: 0x40000000,
		sibling: "amd64", without: []string{"map_shadow_stack"}},
	{name: "386", goarch: "386", debian: "i386", macros: []string{"-D__i386__"}},
	{name: "arm64", goarch: "arm64", debian: "arm64", macros: lp64},
	// The calls private to the ARM port (__ARM_NR_* in
	// arch/arm/include/uapi/asm/unistd.h) are named as in arm_syscall and in
	// libseccomp.
	{name: "arm", goarch: "arm", debian: "armhf", macros: []string{"-D__ARM_EABI__"}, extra: []call{
		{"breakpoint", 0xf0001}, {"cacheflush", 0xf0002}, {"usr26", 0xf0003},
		{"usr32", 0xf0004}, {"set_tls", 0xf0005}, {"get_tls", 0xf0006},
	}},
	{name: "ppc64", goarch: "ppc64le", debian: "ppc64el", macros: []string{"-D__powerpc64__"}},
	{name: "ppc", goarch: "ppc", debian: "powerpc"},
	{name: "s390x", goarch: "s390x", debian: "s390x", macros: []string{"-D__s390x__"}},
	{name: "s390", debian: "s390x", sibling: "s390x"},
	{name: "riscv64", goarch: "riscv64", debian: "riscv64", macros: lp64},
	{name: "loong64", goarch: "loong64"},
	{name: "mips64", goarch: "mips64le", debian: "mips64el", macros: append(mipsSims, "-D_MIPS_SIM=3"), base: 5000},
	{name: "mipsn32", debian: "mipsn32el", macros: append(mipsSims, "-D_MIPS_SIM=2"), base: 6000,
		sibling: "mips64le", siblingBase: 5000},
	{name: "mips", goarch: "mipsle", debian: "mipsel", macros: append(mipsSims, "-D_MIPS_SIM=1"), base: 4000},
}

// notCalls are __NR_* macros that number no call: bases, masks and counts.
var notCalls = []string{"linux", "syscalls", "syscall_base", "oabi_syscall_base", "syscall_mask", "arch_specific_syscall"}

// firstShared is the first number from which every architecture numbers a new
// call alike, apart from the ABI's base (Documentation/process/adding-syscalls.rst;
// 403 to 423 are 32-bit only).
const firstShared = 424

// numbers returns the table's calls. Where both sources have a table, they
// must agree on every call that both have, and the headers may have none that
// x/sys lacks.
func (t *table) numbers(x *xsys, h *headers) (map[string]uint32, error) {
	var fromHeaders map[string]uint32
	if t.debian != "" {
		var err error
		if fromHeaders, err = h.numbers(t.debian, t.macros...); err != nil {
			return nil, err
		}
		dropNotCalls(fromHeaders)
	}
	if t.goarch == "" {
		if err := t.extend(fromHeaders, x); err != nil {
			return nil, err
		}
		return fromHeaders, nil
	}
	consts, err := x.consts("zsysnum_linux_" + t.goarch + ".go")
	if err != nil {
		return nil, err
	}
	numbers := make(map[string]uint32)
	for name, n := range consts {
		if name, ok := strings.CutPrefix(name, "SYS_"); ok {
			numbers[strings.ToLower(name)] = uint32(n)
		}
	}
	dropNotCalls(numbers)
	for name, n := range fromHeaders {
		if slices.Contains(aliases[t.name], name) {
			continue
		}
		if have, ok := numbers[name]; !ok || have != n {
			return nil, fmt.Errorf("%s: %s is %d in Debian's headers, %d (%t) in x/sys", t.name, name, n, have, ok)
		}
	}
	if t.debian != "" {
		newer := 0
		for name := range numbers {
			if _, ok := fromHeaders[name]; !ok {
				newer++
			}
		}
		fmt.Printf("%-8s %d calls, %d of them checked against Debian's headers\n", t.name, len(numbers), len(numbers)-newer)
	}
	for _, c := range t.extra {
		numbers[c.name] = c.number
	}
	return numbers, nil
}

// aliases are second names that the headers have for a number.
var aliases = map[string][]string{
	"arm": {"sync_file_range2"},
}

// extend adds the calls newer than the headers, by the numbers that all ABIs
// of an architecture share, after checking that the headers follow that rule
// as far as they go.
func (t *table) extend(numbers map[string]uint32, x *xsys) error {
	sibling, err := x.consts("zsysnum_linux_" + t.sibling + ".go")
	if err != nil {
		return err
	}
	have := len(numbers)
	for name, n := range sibling {
		name, ok := strings.CutPrefix(name, "SYS_")
		shared := uint32(n) - t.siblingBase
		if name = strings.ToLower(name); !ok || shared < firstShared || slices.Contains(t.without, name) {
			continue
		}
		want := t.base + shared
		if got, ok := numbers[name]; ok && got != want {
			return fmt.Errorf("%s: %s is %d, not the shared number %d", t.name, name, got, want)
		}
		numbers[name] = want
	}
	fmt.Printf("%-8s %d calls from Debian's headers, %d newer\n", t.name, have, len(numbers)-have)
	return nil
}

func dropNotCalls(numbers map[string]uint32) {
	for _, name := range notCalls {
		delete(numbers, name)
	}
}

func writeTables(out string, x *xsys, h *headers) error {
	for i := range tables {
		t := &tables[i]
		numbers, err := t.numbers(x, h)
		if err != nil {
			return err
		}
		calls := make([]call, 0, len(numbers))
		for name, n := range numbers {
			calls = append(calls, call{name, n})
		}
		slices.SortFunc(calls, func(a, b call) int { return cmp.Compare(a.number, b.number) })
		for i := 1; i < len(calls); i++ {
			if calls[i].number == calls[i-1].number {
				return fmt.Errorf("%s: %s and %s are both %d", t.name, calls[i-1].name, calls[i].name, calls[i].number)
			}
		}
		var b bytes.Buffer
		fmt.Fprintf(&b, "var table%s = []Syscall{\n", strings.ToUpper(t.name))
		for _, c := range calls {
			if t.name == "x32" {
				fmt.Fprintf(&b, "{x32Bit + %d, %q},\n", c.number-t.base, c.name)
			} else {
				fmt.Fprintf(&b, "{%d, %q},\n", c.number, c.name)
			}
		}
		b.WriteString("}\n")
		// The suffix keeps the name from being taken as a build constraint.
		if err := writeGo(out, "table_"+t.name+"_generated.go", b.Bytes()); err != nil {
			return err
		}
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "// KernelVersion is the Linux release whose numbers and constants the tables\n// hold, by way of golang.org/x/sys %s.\nconst KernelVersion = %q\n", x.version, x.kernel)
	return writeGo(out, "version_generated.go", b.Bytes())
}
