// Command crun runs Debian's crun where two things about it are too old: it
// refuses the version number of specs that containerd 2 writes, and cgroup v1
// with a v2 hierarchy beside it. Both are put right for it alone.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// program is the crun that this one stands before.
const program = "/usr/bin/crun"

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "crun: "+err.Error())
		os.Exit(1)
	}
}

func run() error {
	if dir := bundle(os.Args); dir != "" {
		if err := lowerVersion(filepath.Join(dir, "config.json")); err != nil {
			return err
		}
	}
	if err := hideUnified(); err != nil {
		return err
	}
	return &os.PathError{Op: "exec", Path: program, Err: syscall.Exec(program, os.Args, os.Environ())}
}

// bundle returns the operand of --bundle, which create and run have.
func bundle(args []string) string {
	for i, arg := range args {
		if arg == "--bundle" && i+1 < len(args) {
			return args[i+1]
		}
		if dir, ok := strings.CutPrefix(arg, "--bundle="); ok {
			return dir
		}
	}
	return ""
}

// lowerVersion rewrites the ociVersion of a spec to one that crun 1.8 knows.
// What later versions of the spec added is optional, and crun ignores what it
// does not know.
func lowerVersion(config string) error {
	b, err := os.ReadFile(config)
	if err != nil {
		return err
	}
	if b, err = withVersion(b, "1.0.2"); err != nil {
		return fmt.Errorf("%s: %w", config, err)
	}
	return os.WriteFile(config, b, 0o644)
}

func withVersion(config []byte, version string) ([]byte, error) {
	var spec map[string]json.RawMessage
	if err := json.Unmarshal(config, &spec); err != nil {
		return nil, err
	}
	v, err := json.Marshal(version)
	if err != nil {
		return nil, err
	}
	spec["ociVersion"] = v
	return json.Marshal(spec)
}

// hideUnified unmounts a cgroup v2 hierarchy beside those of v1, in a mount
// namespace of this process' own. Mounts still arrive from the machine's. The
// thread stays locked: it is the one that goes on to exec.
func hideUnified() error {
	const unified = "/sys/fs/cgroup/unified"
	var st unix.Statfs_t
	err := unix.Statfs(unified, &st)
	if errors.Is(err, unix.ENOENT) || err == nil && st.Type != unix.CGROUP2_SUPER_MAGIC {
		return nil
	}
	if err != nil {
		return &os.PathError{Op: "statfs", Path: unified, Err: err}
	}
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("make a mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("keep unmounting from the machine's namespace: %w", err)
	}
	if err := unix.Unmount(unified, unix.MNT_DETACH); err != nil {
		return &os.PathError{Op: "unmount", Path: unified, Err: err}
	}
	return nil
}
