// Package cprogram compiles the C programs of tests: what a test is held against
// should not be of our own making, in the same language, with the same mistakes.
package cprogram

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Folder is the variable that names a folder of programs which are compiled
// already. A virtual machine in which tests run has it, and no compiler.
const Folder = "KUBECTL_SECCOMP_C_PROGRAMS"

// Build compiles a source into a folder and returns the program's path. Its name
// is the source's.
func Build(dir, source string, flags ...string) (string, error) {
	name := strings.TrimSuffix(filepath.Base(source), ".c")
	if built := os.Getenv(Folder); built != "" {
		path := filepath.Join(built, name)
		_, err := os.Stat(path)
		return path, err
	}
	path := filepath.Join(dir, name)
	return path, Compile("gcc", path, source, flags...)
}

// Compile compiles a source by a C compiler of choice. Flags stand behind the
// source, where libraries have to be.
func Compile(compiler, path, source string, flags ...string) error {
	args := append([]string{"-O1", "-Wall", "-pthread", "-o", path, source}, flags...)
	if out, err := exec.Command(compiler, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("these tests need %s to compile %s: %w\n%s", compiler, source, err, out)
	}
	return nil
}
