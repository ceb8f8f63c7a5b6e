//go:build linux && amd64 && vm

package policy

import "testing"

// TestCompatInKernel sees to it that the kernel which the other tests ask has
// calls of i386: without, they leave them out.
func TestCompatInKernel(t *testing.T) {
	if k := newKernel(t); k.ip386 == 0 {
		t.Error("this kernel has no i386 ABI")
	}
}
