//go:build linux && vm

package syscalls

import (
	"bufio"
	"debug/elf"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A kernelTable is the array of functions by which a kernel dispatches an ABI's
// calls: arch/x86/entry/syscall_64.c, arch/arm64/kernel/sys.c and sys32.c,
// arch/s390/kernel/syscall.c.
type kernelTable struct {
	abi      ABI
	prefixes []string // of the functions' symbols
}

var kernelTables = map[string][]kernelTable{
	"amd64": {{AMD64, []string{"__x64_sys_"}}},
	"arm64": {{ARM64, []string{"__arm64_sys_"}}, {ARM, []string{"__arm64_sys_", "__arm64_compat_sys_"}}},
	"s390x": {{S390X, []string{"__s390x_sys_"}}},
}

// hole is the function of numbers that have none.
const hole = "ni_syscall"

// What else functions are called: because the name went to a better variant of
// the call, or to the generic part of what an architecture wraps; and of 32-bit
// calls also by the width of what they take.
var (
	functionNames = map[string][]string{
		"newuname": {"uname"}, "newstat": {"stat"}, "newlstat": {"lstat"}, "newfstat": {"fstat"},
		"umount": {"umount2"}, "oldumount": {"umount"}, "old_mmap": {"mmap"}, "sendfile64": {"sendfile"},
		"fadvise64_64": {"fadvise64", "arm_fadvise64_64"}, "sync_file_range2": {"arm_sync_file_range"},
		"llseek": {"_llseek"}, "select": {"_newselect"}, "getrlimit": {"ugetrlimit"},
		"old_semctl": {"semctl"}, "old_msgctl": {"msgctl"}, "old_shmctl": {"shmctl"},
	}
	functionPrefixes = []string{"s390_", "arm64_", "aarch32_"}
	narrow           = []string{"16", "32", "_time32"} // suffixes of functions
	wide             = []string{"32", "64", "_time64"} // suffixes of calls
)

// called tells whether a function may be that of a call.
func (table kernelTable) called(function, name string) bool {
	if function == name {
		return true
	}
	for _, prefix := range functionPrefixes {
		function = strings.TrimPrefix(function, prefix)
	}
	if function == name || slices.Contains(functionNames[function], name) {
		return true
	}
	if table.abi.Bits() == 64 {
		return false
	}
	return slices.ContainsFunc(narrow, func(suffix string) bool { return function == name+suffix }) ||
		slices.ContainsFunc(wide, func(suffix string) bool { return function+suffix == name })
}

// TestKernelNames reads the kernel's own tables out of its memory, and compares
// the functions' names with ours.
func TestKernelNames(t *testing.T) {
	symbols := kernelSymbols(t)
	image := kernelImage(t, symbols)
	for _, table := range kernelTables[runtime.GOARCH] {
		t.Run(table.abi.String(), func(t *testing.T) {
			functions := image.find(t, table)
			names, holes := 0, 0
			for nr, function := range functions {
				if function == hole {
					holes++
					continue
				}
				names++
				if name, ok := table.abi.Name(uint32(nr)); !ok || !table.called(function, name) {
					t.Errorf("%d is %s for the kernel, and %q here", nr, function, name)
				}
			}
			if names < 290 {
				t.Error("few have a function")
			}
			t.Logf("%d numbers, %d functions, %d without", len(functions), names, holes)
		})
	}
}

// kernelSymbols returns the names of the kernel's functions by address.
func kernelSymbols(t *testing.T) map[uint64][]string {
	t.Helper()
	f, err := os.Open("/proc/kallsyms")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	symbols := make(map[uint64][]string)
	for s := bufio.NewScanner(f); s.Scan(); {
		fields := strings.Fields(s.Text()) // address, type, name
		address, err := strconv.ParseUint(fields[0], 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		symbols[address] = append(symbols[address], fields[2])
	}
	return symbols
}

// memory is a part of the kernel's.
type memory struct {
	low, high uint64 // its addresses
	words     []uint64
	symbols   map[uint64][]string
}

// kernelImage reads the kernel's code and data from /proc/kcore, an ELF core file
// of the kernel.
func kernelImage(t *testing.T, symbols map[uint64][]string) memory {
	t.Helper()
	var low, high uint64
	for address, names := range symbols {
		switch {
		case slices.Contains(names, "_stext"):
			low = address
		case slices.Contains(names, "__init_begin") || slices.Contains(names, "_sinittext"):
			high = max(high, address)
		}
	}
	core, err := elf.Open("/proc/kcore")
	if err != nil {
		t.Fatal(err)
	}
	defer core.Close()
	for _, p := range core.Progs {
		if p.Type != elf.PT_LOAD || low < p.Vaddr || high > p.Vaddr+p.Memsz {
			continue
		}
		raw := make([]byte, high-low)
		if _, err := p.ReadAt(raw, int64(low-p.Vaddr)); err != nil && err != io.EOF {
			t.Fatalf("read %#x to %#x of /proc/kcore: %v", low, high, err)
		}
		m := memory{low: low, high: high, words: make([]uint64, len(raw)/8), symbols: symbols}
		for i := range m.words {
			m.words[i] = core.ByteOrder.Uint64(raw[8*i:])
		}
		return m
	}
	t.Fatalf("/proc/kcore does not have %#x to %#x", low, high)
	return memory{}
}

// find returns the names of a table's functions: of the runs of pointers to such
// functions the one that agrees most with what it should be.
func (m memory) find(t *testing.T, table kernelTable) []string {
	t.Helper()
	functions := make(map[uint64]string)
	for address, symbols := range m.symbols {
		var names []string
		for _, symbol := range symbols {
			for _, prefix := range table.prefixes {
				if name, ok := strings.CutPrefix(symbol, prefix); ok {
					names = append(names, name)
				}
			}
		}
		// The calls that a kernel was built without share one function.
		if slices.Contains(names, hole) || len(names) > 4 {
			names = []string{hole}
		}
		if names != nil {
			functions[address] = names[0]
		}
	}
	var best, run []string
	most := 0
	for _, word := range append(m.words, 0) {
		if word >= m.low && word < m.high {
			if name, ok := functions[word]; ok {
				run = append(run, name)
				continue
			}
		}
		agree := 0
		for nr, function := range run {
			if name, ok := table.abi.Name(uint32(nr)); ok && name == function {
				agree++
			}
		}
		if agree > most {
			best, most = slices.Clone(run), agree
		}
		run = run[:0]
	}
	if len(best) < 300 {
		t.Fatalf("the table that is most like it has %d functions: %q", len(best), best)
	}
	return best
}
