package probe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubectl-seccomp/kubectl-seccomp/internal/kerneltest"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/proc"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// Requests of FUSE (include/uapi/linux/fuse.h).
const (
	fuseLookup    = 1
	fuseForget    = 2
	fuseGetattr   = 3
	fuseOpen      = 14
	fuseRelease   = 18
	fuseFlush     = 25
	fuseInit      = 26
	fuseInterrupt = 36
)

// hangingFile mounts a filesystem of one file whose closing never ends, until
// release is called. The channel is closed when somebody has begun to.
func hangingFile(t *testing.T) (name string, closing chan struct{}, release func()) {
	t.Helper()
	dir := t.TempDir()
	device, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", device)
	if err := unix.Mount("test", dir, "fuse", unix.MS_NODEV|unix.MS_NOSUID, options); err != nil {
		t.Fatalf("mount: %v", err)
	}
	released := false
	release = func() {
		if !released {
			released = true
			// Whoever waits for an answer gets an error.
			if err := errors.Join(unix.Unmount(dir, unix.MNT_DETACH|unix.MNT_FORCE), unix.Close(device)); err != nil {
				t.Errorf("unmount: %v", err)
			}
		}
	}
	t.Cleanup(release)
	closing = make(chan struct{})
	go func() {
		request := make([]byte, 1<<17)
		for {
			n, err := unix.Read(device, request)
			if err != nil || n < 40 {
				return
			}
			opcode, unique, node := binary.NativeEndian.Uint32(request[4:]), request[8:16], binary.NativeEndian.Uint64(request[16:])
			var body []byte
			var failure int32
			switch opcode {
			case fuseFlush:
				close(closing)
				continue
			case fuseForget, fuseInterrupt:
				continue
			case fuseInit:
				body = make([]byte, 64)
				binary.NativeEndian.PutUint32(body[0:], 7)
				binary.NativeEndian.PutUint32(body[4:], 31)
				binary.NativeEndian.PutUint32(body[20:], 1<<16) // max_write
			case fuseLookup:
				body = make([]byte, 40, 128)
				binary.NativeEndian.PutUint64(body[0:], 2)
				body = append(body, fuseAttr(2)...)
			case fuseGetattr:
				body = append(make([]byte, 16, 104), fuseAttr(node)...)
			case fuseOpen:
				body = make([]byte, 16)
			case fuseRelease:
			default:
				failure = -int32(unix.ENOSYS)
			}
			reply := binary.NativeEndian.AppendUint32(nil, uint32(16+len(body)))
			reply = binary.NativeEndian.AppendUint32(reply, uint32(failure))
			reply = append(append(reply, unique...), body...)
			unix.Write(device, reply)
		}
	}()
	return filepath.Join(dir, "file"), closing, release
}

// fuseAttr is struct fuse_attr: of the root directory, node 1, or the file.
func fuseAttr(node uint64) []byte {
	attr := make([]byte, 88)
	mode := uint32(unix.S_IFREG | 0o644)
	if node == 1 {
		mode = unix.S_IFDIR | 0o755
	}
	binary.NativeEndian.PutUint64(attr[0:], node)
	binary.NativeEndian.PutUint32(attr[60:], mode)
	binary.NativeEndian.PutUint32(attr[64:], 1)
	return attr
}

// TestExecHangs collects a container that executes a program, and keeps the
// kernel in the midst of that. Much of what /proc says of it cannot be read then,
// by anybody. The run ends all the same, with all else that there is.
func TestExecHangs(t *testing.T) {
	budget := kerneltest.New(t)
	name, closing, release := hangingFile(t)
	c, good := startProgram(t, budget, 1, targetProgram, "1", "exec-hangs", name), start(t, budget, 1, 1, "read")
	<-closing
	begin := time.Now()
	r := collect(t, t.Context(), Request{Targets: []string{c.ref, good.ref}})
	if d := time.Since(begin); d > 10*time.Second {
		t.Errorf("it took %v", d)
	}
	// A kernel on which only tracing waits has the thread's state to tell.
	if len(r.problems) != 1 || r.problems[0].Target != c.ref || r.problems[0].PID != c.pid ||
		r.problems[0].Code != wire.CodeDoesNotStop && !strings.Contains(r.problems[0].Detail, proc.ErrHangs.Error()) {
		t.Errorf("problems %v", r.problems)
	}
	if s := r.states[len(r.states)-1]; s.Target != good.ref || s.Stack == wire.NoStack {
		t.Errorf("states %+v", r.states)
	}
	// When it can, it goes on: nothing holds it.
	release()
	await(t, func() bool {
		thread, err := proc.Host.Thread(c.pid, c.pid)
		return err != nil || thread.Dead()
	})
}
