// Package capability names the capabilities of a thread.
package capability

import (
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// A Set is a set of capabilities as the kernel has it: bit n is the capability
// with number n.
type Set uint64

// names are those of include/uapi/linux/capability.h without CAP_, as
// securityContext.capabilities of a pod has them.
var names = [...]string{
	"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL",
	"SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE",
	"NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
	"SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT",
	"SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME",
	"SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL",
	"SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM",
	"BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE",
}

const (
	// All is every capability with a name here: up to Linux 5.9, which
	// brought the last one.
	All Set = 1<<len(names) - 1
	// Default is what containerd and Docker give a container that asks for
	// nothing: CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID,
	// SETPCAP, NET_BIND_SERVICE, NET_RAW, SYS_CHROOT, MKNOD, AUDIT_WRITE,
	// SETFCAP. CRI-O gives fewer.
	Default Set = 0xa80425fb
)

// Parse returns the set of a Cap… line of /proc/PID/status: hexadecimal.
func Parse(s string) (Set, error) {
	n, err := strconv.ParseUint(s, 16, 64)
	if err != nil {
		return 0, fmt.Errorf("capability set %q: not a hexadecimal number of 64 bits", s)
	}
	return Set(n), nil
}

// Names returns the names of the capabilities in s, by number; the number
// itself where there is no name for it.
func (s Set) Names() []string {
	list := make([]string, 0, bits.OnesCount64(uint64(s)))
	for n := range 64 {
		switch {
		case s&(1<<n) == 0:
		case n < len(names):
			list = append(list, names[n])
		default:
			list = append(list, strconv.Itoa(n))
		}
	}
	return list
}

// String returns the shortest that says it: "none", "all", the names of few,
// or the difference to what a container gets by default:
// "default, NET_ADMIN, without MKNOD".
func (s Set) String() string {
	switch s {
	case 0:
		return "none"
	case All:
		return "all"
	case Default:
		return "default"
	}
	direct := strings.Join(s.Names(), ", ")
	byDefault := "default"
	if more := s &^ Default; more != 0 {
		byDefault += ", " + strings.Join(more.Names(), ", ")
	}
	if fewer := Default &^ s; fewer != 0 {
		byDefault += ", without " + strings.Join(fewer.Names(), ", ")
	}
	byAll := "all, without " + strings.Join((All&^s).Names(), ", ")
	short := direct
	if s&Default != 0 && len(byDefault) < len(short) {
		short = byDefault
	}
	if s&^All == 0 && len(byAll) < len(short) {
		short = byAll
	}
	return short
}

// SetOf returns the set that Names names. What it does not know is left out.
func SetOf(list []string) (s Set) {
	for _, name := range list {
		n := slices.Index(names[:], name)
		if n < 0 {
			number, err := strconv.ParseUint(name, 10, 6)
			if err != nil {
				continue
			}
			n = int(number)
		}
		s |= 1 << n
	}
	return s
}

// ParseNames returns the set of capabilities that people name as for a container:
// SYS_ADMIN or CAP_SYS_ADMIN, in any case, or ALL.
func ParseNames(list []string) (s Set, err error) {
	for _, text := range list {
		name := strings.TrimPrefix(strings.ToUpper(text), "CAP_")
		n := slices.Index(names[:], name)
		switch {
		case name == "ALL":
			s |= All
		case n < 0:
			return 0, fmt.Errorf("capability %q: there is none of that name: want one such as SYS_ADMIN, or ALL", text)
		default:
			s |= 1 << n
		}
	}
	return s, nil
}
