//go:build linux

package kerneltest

import (
	"fmt"
	"os"
	"strconv"
)

// OneIn is the variable that says what share of their cases tests try: one in
// that many. An emulated machine has it, where all of them would take an hour.
const OneIn = "KUBECTL_SECCOMP_TEST_ONE_IN"

// Emulated tells whether the test runs in a machine of its own, which may be lost.
func Emulated() bool { return os.Getenv(OneIn) != "" }

// Share returns how many of n cases a test is to try: all of them, unless OneIn
// says otherwise, and at least one. It is for cases that are random or repeated,
// not for such of which each shows something of its own.
func Share(n int) int {
	s := os.Getenv(OneIn)
	if s == "" {
		return n
	}
	oneIn, err := strconv.Atoi(s)
	if err != nil || oneIn < 1 {
		panic(fmt.Sprintf("%s is %q: want a number from 1", OneIn, s))
	}
	return (n + oneIn - 1) / oneIn
}
