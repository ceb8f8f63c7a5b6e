package syscalls

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

// TestSinceHeaders holds the releases against the kernel's headers that are
// installed: they have a call if and only if it is not newer than they are.
func TestSinceHeaders(t *testing.T) {
	version, err := os.ReadFile("/usr/include/linux/version.h")
	if err != nil {
		t.Fatal(err)
	}
	code, err := strconv.ParseUint(string(regexp.MustCompile(`LINUX_VERSION_CODE (\d+)`).FindSubmatch(version)[1]), 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	headers := Release{uint(code >> 16), uint(code >> 8 & 0xff)}
	// Of the machine, and of the ABIs that its compiler can build for.
	files, err := filepath.Glob("/usr/include/*/asm/unistd*.h")
	if err != nil || len(files) == 0 {
		t.Fatalf("no headers: %v", err)
	}
	has := make(map[string]bool)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile(`#define __NR_(\w+)`).FindAllSubmatch(text, -1) {
			has[string(match[1])] = true
		}
	}
	newer := 0
	for _, abi := range []ABI{AMD64, I386, ARM64} {
		for _, call := range abi.Table() {
			r, known := Since(call.Name)
			switch {
			case !known && call.Number >= 424 && abi != I386:
				t.Errorf("%s: no release", call.Name) // 5.1 has the first of them
			case known && !headers.AtLeast(r):
				newer++
				if has[call.Name] {
					t.Errorf("%s: of Linux %v, but Linux %v has it", call.Name, r, headers)
				}
			case !has[call.Name] && (!known || r.AtLeast(Release{3, 0})):
				t.Errorf("%s: Linux %v has it not, and it is not known to be newer", call.Name, headers)
			}
		}
	}
	t.Logf("headers of Linux %v; %d numbers are newer", headers, newer)
}
