package policy

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// A counterpart is a system call that two ABIs, x and y, have under one name, and
// how its arguments correspond. Masks are by the position that x has an argument at.
type counterpart struct {
	name     string
	nrX, nrY uint32
	// position[i] is where y has what x has as argument i.
	position [6]int
	// narrow are bits that only one of the ABIs can pass: no call has them set that
	// can be made under both.
	narrow [6]uint64
	// foreign are bits with which the ABIs say different things, and about them
	// what kind of things.
	foreign [6]uint64
	about   [6]string
}

// counterparts pairs the system calls of two ABIs, in the order of x's numbers, and
// tells which ones only x and only y have.
func counterparts(x, y syscalls.ABI) (pairs []counterpart, onlyX, onlyY []syscalls.Syscall) {
	paired := map[uint32]bool{} // by y's number
	for _, call := range x.Table() {
		name, nr, ok := call.Name, uint32(0), false
		if nr, ok = y.Number(name); !ok {
			name, nr, ok = renamed(call.Number, x, y)
		}
		if !ok {
			onlyX = append(onlyX, call)
			continue
		}
		paired[nr] = true
		pairs = append(pairs, newCounterpart(name, call.Number, nr, x, y))
	}
	for _, call := range y.Table() {
		if !paired[call.Number] {
			onlyY = append(onlyY, call)
		}
	}
	return pairs, onlyX, onlyY
}

// renamed looks for the call of a number of x under the second name that x has for
// it, which is the one in y's table.
func renamed(number uint32, x, y syscalls.ABI) (name string, nr uint32, ok bool) {
	for _, call := range y.Table() {
		if n, known := x.Number(call.Name); known && n == number {
			return call.Name, call.Number, true
		}
	}
	return "", 0, false
}

func newCounterpart(name string, nrX, nrY uint32, x, y syscalls.ABI) counterpart {
	c := counterpart{name: name, nrX: nrX, nrY: nrY}
	width := min(x.Bits(), y.Bits())
	for i := range c.position {
		c.position[i] = i
		c.narrow[i] = ^uint64(0) << width // none of 64
	}
	px, py := x.Params(name), y.Params(name)
	if px == nil || py == nil {
		unknown := x
		if px != nil {
			unknown = y
		}
		for i := range c.foreign {
			c.foreign[i], c.about[i] = ^uint64(0), fmt.Sprintf("what its arguments are under %v is not known", unknown)
		}
		return c
	}
	at := func(params []syscalls.Param, name string) int {
		return slices.IndexFunc(params, func(p syscalls.Param) bool { return p.Name == name })
	}
	taken := [6]bool{} // positions of y
	for i, p := range px {
		if j := at(py, p.Name); j >= 0 {
			c.position[i], taken[j] = j, true
			if bits := min(p.Bits, py[j].Bits); p.Bits != py[j].Bits {
				c.narrow[i] |= ^uint64(0) << bits
			}
			if c.foreign[i] = differingBits(name, p.Name, x, y); c.foreign[i] != 0 {
				c.about[i] = fmt.Sprintf("values of %s are not the same under both", p.Name)
			}
		}
	}
	// The others are not the same thing, unless they are nothing under both.
	for i := range c.position {
		if i < len(px) && at(py, px[i].Name) >= 0 {
			continue
		}
		j := i
		if taken[j] {
			j = slices.Index(taken[:], false)
		}
		c.position[i], taken[j] = j, true
		if i < len(px) || j < len(py) {
			c.foreign[i], c.about[i] = ^uint64(0), fmt.Sprintf("it takes other arguments under %v than under %v", y, x)
		}
	}
	return c
}

// callY returns the call under y that corresponds to one under x.
func (c *counterpart) callY(d bpf.Data, y syscalls.ABI) bpf.Data {
	out := bpf.Data{Arch: y.AuditArch(), NR: c.nrY, IP: d.IP}
	for i, j := range c.position {
		out.Args[j] = d.Args[i]
	}
	return out
}

// callX returns a call with the arguments of one under y where x has them.
func (c *counterpart) callX(d bpf.Data) bpf.Data {
	out := d
	for i, j := range c.position {
		out.Args[i] = d.Args[j]
	}
	return out
}

// word returns where x has a word of a call that y has at w.
func (c *counterpart) word(w word) word {
	if w < wordArg0High {
		return w
	}
	i := slices.Index(c.position[:], int(w-wordArg0High)/2)
	return wordArg0High + word(2*i) + (w-wordArg0High)%2
}

// differingBits returns the bits of a parameter that have, or may have, another
// meaning under one ABI than under the other.
func differingBits(call, param string, x, y syscalls.ABI) (differ uint64) {
	for _, r := range reviewedValues {
		if r.param == param && slices.Contains(r.calls, call) && slices.Contains(r.abis, x) != slices.Contains(r.abis, y) {
			differ |= r.bits
		}
	}
	if l, ok := likeFlags[[2]string{call, param}]; ok {
		call, param = l[0], l[1]
	}
	var none syscalls.Flags
	f, g := x.Flags(call, param), y.Flags(call, param)
	if f == nil {
		f = &none
	}
	if g == nil {
		g = &none
	}
	if f.Field != g.Field || !reflect.DeepEqual(f.Values, g.Values) {
		differ |= f.Field | g.Field
	}
	for _, pair := range [2][2]*syscalls.Flags{{f, g}, {g, f}} {
		for _, flag := range pair[0].Bits {
			if !slices.Contains(pair[1].Bits, flag) {
				differ |= flag.Value
			}
		}
	}
	return differ
}

// likeFlags are parameters that take the values of another one, for which there are
// tables.
var likeFlags = map[[2]string][2]string{
	{"dup3", "flags"}:                  {"openat", "flags"},
	{"epoll_create1", "flags"}:         {"openat", "flags"},
	{"eventfd2", "flags"}:              {"openat", "flags"},
	{"fanotify_init", "event_f_flags"}: {"openat", "flags"},
	{"fcntl", "arg"}:                   {"openat", "flags"}, // of F_SETFL
	{"inotify_init1", "flags"}:         {"openat", "flags"},
	{"memfd_secret", "flags"}:          {"openat", "flags"},
	{"mq_open", "oflag"}:               {"openat", "flags"},
	{"signalfd4", "flags"}:             {"openat", "flags"},
	{"timerfd_create", "flags"}:        {"openat", "flags"},
	{"getrlimit", "resource"}:          {"setrlimit", "resource"},
}

var (
	mipsABIs = []syscalls.ABI{syscalls.MIPS64LE, syscalls.MIPS64, syscalls.MIPSN32LE, syscalls.MIPSN32, syscalls.MIPSLE, syscalls.MIPS}
	ppcABIs  = []syscalls.ABI{syscalls.PPC64LE, syscalls.PPC64, syscalls.PPC}
)

// reviewedValues are parameters without such a table whose values have, in some
// ABIs, another meaning than in the others. They are written down from the headers
// that each comment names, of include/uapi and arch/*/include/uapi/asm.
var reviewedValues = []struct {
	calls []string
	param string
	bits  uint64
	abis  []syscalls.ABI
}{
	// asm/signal.h: SIGUSR1 is 16, …
	{[]string{"kill", "tkill", "tgkill", "rt_sigaction", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal"}, "sig", ^uint64(0), mipsABIs},
	{[]string{"rt_sigprocmask"}, "how", ^uint64(0), mipsABIs},
	// asm/socket.h: SOL_SOCKET is 0xffff, and the options of it
	{[]string{"getsockopt", "setsockopt"}, "level", ^uint64(0), mipsABIs},
	{[]string{"getsockopt", "setsockopt"}, "optname", ^uint64(0), mipsABIs},
	// asm/socket.h: SO_RCVLOWAT to SO_PEERCRED
	{[]string{"getsockopt", "setsockopt"}, "optname", ^uint64(0), ppcABIs},
	// linux/fadvise.h: POSIX_FADV_DONTNEED and POSIX_FADV_NOREUSE
	{[]string{"fadvise64"}, "advice", ^uint64(0), []syscalls.ABI{syscalls.S390X}},
	// asm/mman.h: PROT_BTI and PROT_MTE; PROT_SAO
	{[]string{"mmap", "mprotect", "pkey_mprotect"}, "prot", 0x30, []syscalls.ABI{syscalls.ARM64}},
	{[]string{"mmap", "mprotect", "pkey_mprotect"}, "prot", 0x10, ppcABIs},
}
