//go:build linux

package vm

import "fmt"

// Arch is a machine that is emulated.
type Arch struct {
	Name    string   // GOARCH
	Debian  string   // the architecture in Debian's archive
	Kernel  string   // the package that depends on the newest kernel of a kind
	CC      string   // the C compiler, of Debian's package gcc-TRIPLET or gcc
	Compat  string   // GOARCH of the 32-bit programs that the kernel runs; "" for none that Go has
	qemu    string   // the emulator
	machine []string // its arguments
	console string   // the kernel's name for the serial line
}

// Arches are those that there are, in the order in which they are run.
var Arches = []Arch{
	{
		// For its 32-bit calls, which many a kernel of today is built without.
		Name: "amd64", Debian: "amd64", Kernel: "linux-image-cloud-amd64", CC: "x86_64-linux-gnu-gcc", Compat: "386",
		qemu: "qemu-system-x86_64", machine: []string{"-M", "q35", "-cpu", "qemu64"}, console: "ttyS0",
	},
	{
		// The Cortex-A57 has 32-bit programs.
		Name: "arm64", Debian: "arm64", Kernel: "linux-image-cloud-arm64", CC: "aarch64-linux-gnu-gcc", Compat: "arm",
		qemu: "qemu-system-aarch64", machine: []string{"-M", "virt", "-cpu", "cortex-a57"}, console: "ttyAMA0",
	},
	{
		// Big-endian.
		Name: "s390x", Debian: "s390x", Kernel: "linux-image-s390x", CC: "s390x-linux-gnu-gcc",
		qemu: "qemu-system-s390x", machine: []string{"-M", "s390-ccw-virtio"}, console: "ttyS0",
	},
}

// ArchOf returns the machine of a GOARCH.
func ArchOf(name string) (Arch, error) {
	var names []string
	for _, a := range Arches {
		if a.Name == name {
			return a, nil
		}
		names = append(names, a.Name)
	}
	return Arch{}, fmt.Errorf("no machine %q: want one of %q", name, names)
}
