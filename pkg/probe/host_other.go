//go:build !linux

package probe

import "runtime"

// uname returns what is known without Linux' uname(2).
func uname() (kernel, machine string) { return "", runtime.GOARCH }
