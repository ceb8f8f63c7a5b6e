package probe

import "golang.org/x/sys/unix"

// uname returns the kernel's release and the machine's name.
func uname() (kernel, machine string) {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return "", ""
	}
	return unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Machine[:])
}
