package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// headers holds the kernel's user-space headers as Debian packages them, one
// package for each architecture, unpacked in a temporary folder.
type headers struct {
	dir string
}

func openHeaders() (*headers, error) {
	dir, err := os.MkdirTemp("", "gen-syscalls-")
	if err != nil {
		return nil, err
	}
	return &headers{dir: dir}, nil
}

func (h *headers) Close() error { return os.RemoveAll(h.dir) }

// include returns the folder with asm/unistd.h of a Debian architecture,
// fetching the package if need be.
func (h *headers) include(debian string) (string, error) {
	pkg := "linux-libc-dev-" + debian + "-cross"
	root := filepath.Join(h.dir, debian)
	if _, err := os.Stat(root); err != nil {
		if err := os.Mkdir(root, 0o755); err != nil {
			return "", err
		}
		get := exec.Command("apt-get", "download", "-q", pkg)
		get.Dir = root
		if out, err := get.CombinedOutput(); err != nil {
			return "", fmt.Errorf("apt-get download %s: %w: %s", pkg, err, bytes.TrimSpace(out))
		}
		debs, _ := filepath.Glob(filepath.Join(root, "*.deb"))
		if len(debs) != 1 {
			return "", fmt.Errorf("apt-get download %s: want one package, have %q", pkg, debs)
		}
		if out, err := exec.Command("dpkg-deb", "-x", debs[0], root).CombinedOutput(); err != nil {
			return "", fmt.Errorf("dpkg-deb -x %s: %w: %s", debs[0], err, bytes.TrimSpace(out))
		}
	}
	found, _ := filepath.Glob(filepath.Join(root, "usr", "*", "include", "asm", "unistd.h"))
	if len(found) != 1 {
		return "", fmt.Errorf("%s: want one asm/unistd.h, have %q", pkg, found)
	}
	return filepath.Dir(filepath.Dir(found[0])), nil
}

var (
	reDefine = regexp.MustCompile(`(?m)^#define __NR_(\w+)`)
	reValue  = regexp.MustCompile(`(?m)^= (\w+) (.+)$`)
)

// numbers returns what asm/unistd.h of a Debian architecture defines, as the C
// preprocessor sees it with the given macros, by name.
func (h *headers) numbers(debian string, macros ...string) (map[string]uint32, error) {
	inc, err := h.include(debian)
	if err != nil {
		return nil, err
	}
	// The headers choose a table by the compiler's predefined macros; take
	// away those of the machine that this runs on.
	args := append([]string{"-E", "-P", "-undef", "-nostdinc", "-I", inc}, macros...)
	defines, err := cpp(append(args, "-dM"), "#include <asm/unistd.h>\n")
	if err != nil {
		return nil, fmt.Errorf("asm/unistd.h of %s: %w", debian, err)
	}
	var src strings.Builder
	src.WriteString("#include <asm/unistd.h>\n")
	for _, m := range reDefine.FindAllStringSubmatch(defines, -1) {
		fmt.Fprintf(&src, "= %s __NR_%s\n", strings.ToUpper(m[1])+"_", m[1])
	}
	values, err := cpp(args, src.String())
	if err != nil {
		return nil, fmt.Errorf("asm/unistd.h of %s: %w", debian, err)
	}
	numbers := make(map[string]uint32)
	for _, m := range reValue.FindAllStringSubmatch(values, -1) {
		n, err := sum(m[2])
		if err != nil {
			return nil, fmt.Errorf("asm/unistd.h of %s: %s: %w", debian, m[1], err)
		}
		numbers[strings.ToLower(strings.TrimSuffix(m[1], "_"))] = n
	}
	if len(numbers) < 300 {
		return nil, fmt.Errorf("asm/unistd.h of %s: only %d numbers", debian, len(numbers))
	}
	return numbers, nil
}

func cpp(args []string, src string) (string, error) {
	cmd := exec.Command("cpp", append(args, "-")...)
	cmd.Stdin = strings.NewReader(src)
	out, err := cmd.Output()
	if exit, ok := err.(*exec.ExitError); ok {
		return "", fmt.Errorf("cpp: %w: %s", err, bytes.TrimSpace(exit.Stderr))
	}
	return string(out), err
}

// sum evaluates what the headers have for a number: integers added up, in
// parentheses or not.
func sum(expr string) (uint32, error) {
	var total uint64
	for _, term := range strings.Split(strings.NewReplacer("(", "", ")", "", " ", "").Replace(expr), "+") {
		n, err := strconv.ParseUint(term, 0, 32)
		if err != nil {
			return 0, fmt.Errorf("not a sum of integers: %q", expr)
		}
		total += n
	}
	return uint32(total), nil
}
