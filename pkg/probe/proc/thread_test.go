package proc

import (
	"cmp"
	"slices"
	"testing"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

func sortByPID(ps []Process) {
	slices.SortFunc(ps, func(a, b Process) int { return cmp.Compare(a.PID, b.PID) })
}

// statusText is of Linux 6.18, of a container's thread.
const statusText = "Name:\tsleep\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t4242\nNgid:\t0\nPid:\t4242\nPPid:\t4200\nTracerPid:\t99\n" +
	"Uid:\t0\t0\t0\t0\nGroups:\t0 1 2\nNStgid:\t4242\t1\nNSpid:\t4242\t17\t1\nThreads:\t1\nSigQ:\t0/91806\n" +
	"CapInh:\t0000000000000001\nCapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fa\nCapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000002\n" +
	"NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t3\nSpeculation_Store_Bypass:\tvulnerable\n"

func TestParseStatus(t *testing.T) {
	got, err := parseStatus([]byte(statusText))
	if err != nil {
		t.Fatal(err)
	}
	want := status{tgid: 4242, ppid: 4200, nspid: 1, tracer: 99, Confinement: Confinement{
		Seccomp: 2, Filters: 3, NoNewPrivs: true,
		Inheritable: 1, Permitted: 0xa80425fb, Effective: 0xa80425fa, Bounding: 0x1ffffffffff, Ambient: 2,
	}}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	// Linux before 5.9.
	if got, err = parseStatus([]byte("NSpid:\t5\nSeccomp:\t2\n")); err != nil || got.Filters != Unknown {
		t.Errorf("without a count: %+v, %v", got, err)
	}
	// A name is escaped by the kernel: it cannot begin a line.
	if got, err = parseStatus([]byte("Name:\tx\\nSeccomp:\\t0\nSeccomp:\t2\n")); err != nil || got.Seccomp != 2 {
		t.Errorf("hostile name: %+v, %v", got, err)
	}
	for _, text := range []string{"", "Name:\tx\n", "Seccomp:\tx\n", "Seccomp:\t2\nNSpid:\t\n", "Seccomp:\t2\nCapEff:\txyz\n"} {
		if got, err := parseStatus([]byte(text)); err == nil {
			t.Errorf("%q is taken for %+v", text, got)
		}
	}
}

func TestParseStat(t *testing.T) {
	got, err := parseStat([]byte("7 (a) Z 1 (\n) S 4200 1 1 0 -1 2097152 0 0 0 0 0 0 0 0 20 0 1 0 123456 0 0\n"))
	want := stat{comm: "a) Z 1 (\n", state: 'S', ppid: 4200, flags: pfKthread, start: 123456}
	if err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	got, err = parseStat([]byte("7 (a) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 2613248 0 18446744073709551615 1 1 140737488347360 0 0\n"))
	if want = (stat{comm: "a", state: 'S', ppid: 1, start: 5, stack: 140737488347360}); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, text := range []string{"", "7", "7 (a", "7 )a( S", "7 (a) S 1", "7 (a) S x 1 1 0 -1 0 0 0 0 0 0 0 0 0 0 0 0 0 1 0", "7 (a) SS 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5"} {
		if got, err := parseStat([]byte(text)); err == nil {
			t.Errorf("%q is taken for %+v", text, got)
		}
	}
}

func FuzzStat(f *testing.F) {
	f.Add([]byte("7 (a) b) S 4200 1 1 0 -1 2097152 0 0 0 0 0 0 0 0 20 0 1 0 123456 0 0\n"))
	f.Fuzz(func(t *testing.T, text []byte) { parseStat(text) })
}

func FuzzStatus(f *testing.F) {
	f.Add([]byte(statusText))
	f.Fuzz(func(t *testing.T, text []byte) { parseStatus(text) })
}

func TestWait(t *testing.T) {
	amd64, arm64 := syscalls.OfMachine("amd64"), syscalls.OfMachine("arm64")
	const high, low = " 0x7ffd1c0 0x7fff12345678 0x401000\n", " 0x0 0xfff01234 0x8049000\n"
	for _, tt := range []struct {
		text string
		abis []syscalls.ABI
		want Wait
	}{
		{"running\n", amd64, Running},
		{"-1 0x7fff12345678 0x401000\n", amd64, Running},
		{"0 0x0 0x1 0x1 0x0 0x0" + high, amd64, Restarted},                   // read
		{"202 0x1000 0x80 0x0 0x0 0x0" + high, amd64, Restarted},             // futex without a timeout
		{"202 0x1000 0x189 0x0 0x7f00 0x0" + high, amd64, RestartedByNumber}, // futex with one
		{"7 0x1000 0x1 0xffffffff 0x0 0x0" + high, amd64, RestartedByNumber}, // poll
		{"271 0x1000 0x1 0x0 0x0 0x0" + high, amd64, Restarted},              // ppoll
		{"35 0x1000 0x1 0x0 0x0 0x0" + high, amd64, RestartedByNumber},       // nanosleep
		{"232 0x3 0x1 0x0 0x0 0x0" + high, amd64, Interrupted},               // epoll_wait
		{"281 0x3 0x1 0x0 0x0 0x0" + high, amd64, Interrupted},               // epoll_pwait
		{"43 0x3 0x1 0x0 0x0 0x0" + high, amd64, Other},                      // accept
		{"9999 0x3 0x1 0x0 0x0 0x0" + high, amd64, Other},
		{"3 0x3 0x1 0x0 0x0 0x0" + low, amd64, Restarted},            // i386: read
		{"256 0x3 0x1 0x0 0x0 0x0" + low, amd64, Interrupted},        // i386: epoll_wait
		{"1073742056 0x3 0x1 0x0 0x0 0x0" + low, amd64, Interrupted}, // x32: epoll_wait
		{"22 0x3 0x1 0x0 0x0 0x0" + high, arm64, Interrupted},        // epoll_pwait
		{"98 0x3 0x1 0x0 0x0 0x0" + high, arm64, Restarted},          // futex
		{"240 0x3 0x1 0x0 0x0 0x0" + low, arm64, Restarted},          // arm: futex
		{"", amd64, Other},
		{"x\n", amd64, Other},
		{"0 0x0\n", amd64, Other},
		{"99999999999 0x0 0x1 0x1 0x0 0x0" + high, amd64, Other},
		{"0 0x0 0x1 0x1 0x0 0x0 0x0 zz 0x1\n", amd64, Other},
	} {
		if got := wait(tt.text, tt.abis); got != tt.want {
			t.Errorf("%q on %v: %v, want %v", tt.text, tt.abis[0], got, tt.want)
		}
	}
}

// TestWaitNames checks that every call that is graded is one.
func TestWaitNames(t *testing.T) {
	for name := range waits {
		found := slices.ContainsFunc(syscalls.ABIs(), func(abi syscalls.ABI) bool {
			_, ok := abi.Number(name)
			return ok
		})
		if !found {
			t.Errorf("no ABI has %s", name)
		}
	}
}

func FuzzWait(f *testing.F) {
	f.Add("202 0x1000 0x80 0x0 0x0 0x0 0x0 0x7fff12345678 0x401000\n")
	f.Add("-1 0x7fff12345678 0x401000\n")
	f.Fuzz(func(t *testing.T, text string) { _ = wait(text, syscalls.OfMachine("amd64")).String() })
}
