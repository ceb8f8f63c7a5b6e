package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

// kernelNames are the functions whose name differs from the one that the
// 64-bit syscall tables have for them. A function called umount is umount2,
// as umount is oldumount.
var kernelNames = map[string]string{
	"newfstat":   "fstat",
	"newlstat":   "lstat",
	"newstat":    "stat",
	"newuname":   "uname",
	"sendfile64": "sendfile",
	"umount":     "umount2",
}

// ctypes gives the width and signedness of the scalar types that syscalls
// declare, on 64-bit architectures.
var ctypes = map[string]struct {
	bits   int
	signed bool
}{
	"int": {32, true}, "unsigned int": {32, false}, "unsigned": {32, false},
	"long": {64, true}, "unsigned long": {64, false}, "size_t": {64, false},
	"u32": {32, false}, "__u32": {32, false}, "__s32": {32, true}, "__u64": {64, false}, "u64": {64, false},
	"umode_t": {16, false}, "pid_t": {32, true}, "uid_t": {32, false}, "gid_t": {32, false},
	"off_t": {64, true}, "loff_t": {64, true}, "rwf_t": {32, true},
	"clockid_t": {32, true}, "timer_t": {32, true}, "mqd_t": {32, true},
	"key_t": {32, true}, "key_serial_t": {32, true}, "qid_t": {32, false},
	"enum landlock_rule_type": {32, false},
	"aio_context_t":           {64, false},
	"cap_user_header_t":       {64, false}, "cap_user_data_t": {64, false}, // pointers
}

var reField = regexp.MustCompile(`(?m)^\tfield:(.*?) ?(\w+);\toffset:(\d+);`)

// writeParams records the parameters that the running kernel declares for its
// syscalls, from events/syscalls/sys_enter_*/format of tracefs.
func writeParams(out string) error {
	if runtime.GOARCH != "amd64" {
		return fmt.Errorf("parameters are recorded on amd64, this is %s", runtime.GOARCH)
	}
	dir, err := os.MkdirTemp("", "gen-syscalls-tracefs-")
	if err != nil {
		return err
	}
	defer os.Remove(dir)
	if err := syscall.Mount("none", dir, "tracefs", syscall.MS_RDONLY|syscall.MS_NOSUID|syscall.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount tracefs on %s: %w: run as root", dir, err)
	}
	defer syscall.Unmount(dir, 0)
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return err
	}
	version := regexp.MustCompile(`^\d+\.\d+`).Find(release)

	formats, err := filepath.Glob(filepath.Join(dir, "events/syscalls/sys_enter_*/format"))
	if err != nil {
		return err
	}
	if len(formats) == 0 {
		return fmt.Errorf("tracefs has no events/syscalls: this kernel lacks CONFIG_FTRACE_SYSCALLS")
	}
	var rows []string
	for _, path := range formats {
		name := strings.TrimPrefix(filepath.Base(filepath.Dir(path)), "sys_enter_")
		if n, ok := kernelNames[name]; ok {
			name = n
		}
		format, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		row, err := paramsRow(name, format)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		rows = append(rows, row)
	}
	slices.Sort(rows)
	var b bytes.Buffer
	fmt.Fprintf(&b, "// paramsKernelVersion is the release of the amd64 kernel that recorded64 was\n// recorded from.\nconst paramsKernelVersion = %q\n\n", version)
	b.WriteString("var recorded64 = []signature{\n")
	for _, row := range rows {
		b.WriteString(row)
	}
	b.WriteString("}\n")
	return writeGo(out, "params_generated.go", b.Bytes())
}

func paramsRow(name string, format []byte) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "{%q, []Param{", name)
	for i, m := range reField.FindAllSubmatch(format, -1) {
		typ, param := strings.TrimSpace(string(m[1])), string(m[2])
		if i < 5 { // four common_* fields and __syscall_nr
			continue
		}
		bits, signed := 64, false
		if !strings.Contains(typ, "*") {
			c, ok := ctypes[strings.TrimPrefix(typ, "const ")]
			if !ok {
				return "", fmt.Errorf("parameter %s: type %q is not in ctypes", param, typ)
			}
			bits, signed = c.bits, c.signed
		}
		fmt.Fprintf(&b, "{%q, %q, %d, %t}, ", param, typ, bits, signed)
	}
	b.WriteString("}},\n")
	return strings.ReplaceAll(b.String(), ", }", "}"), nil
}
