package hostfile

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// tree makes a root directory beside a file that is not to be reached.
func tree(t *testing.T) (root string) {
	t.Helper()
	top := t.TempDir()
	root = filepath.Join(top, "root")
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(root, "a", "b"), 0o755))
	must(os.WriteFile(filepath.Join(top, "secret"), []byte("secret"), 0o644))
	must(os.WriteFile(filepath.Join(root, "secret"), []byte("inside"), 0o644))
	must(os.WriteFile(filepath.Join(root, "a", "b", "file"), []byte("text"), 0o644))
	must(os.WriteFile(filepath.Join(root, "long"), make([]byte, 101), 0o644))
	must(unix.Mkfifo(filepath.Join(root, "pipe"), 0o644))
	for link, target := range map[string]string{
		"absolute": "/a/b", "relative": "a/../a/b", "up": "../../../../secret", "out": "/../secret",
		"loop": "loop", "deep": "/absolute/../../relative/file", "a/up": "../secret", "topipe": "pipe", "dangling": "nothing",
	} {
		must(os.Symlink(target, filepath.Join(root, link)))
	}
	return root
}

func TestReadIn(t *testing.T) {
	root := tree(t)
	for name, want := range map[string]string{
		"/a/b/file": "text", "a/b/file": "text", "//a/./b//file": "text",
		"/absolute/file": "text", "/relative/file": "text", "/deep": "text",
		// There is nothing above the root.
		"/up": "inside", "/out": "inside", "/../../secret": "inside", "/a/up": "inside", "/absolute/../secret": "",
	} {
		f, err := ReadIn(root, name, 100)
		if want == "" {
			if !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s: %q, %v", name, f.Text, err)
			}
			continue
		}
		if err != nil || string(f.Text) != want || time.Since(f.Modified) > time.Minute {
			t.Errorf("%s: %q of %v, %v, want %q", name, f.Text, f.Modified, err, want)
		}
	}
	for name, want := range map[string]error{
		"/loop": unix.ELOOP, "/dangling": unix.ENOENT, "/a/b/file/x": unix.ENOTDIR, "/none": unix.ENOENT,
		"/pipe": ErrNotRegular, "/topipe": ErrNotRegular, "/a": ErrNotRegular, "": ErrNotRegular, "/long": ErrTooLong,
	} {
		if f, err := ReadIn(root, name, 100); !errors.Is(err, want) {
			t.Errorf("%q: %q, %v, want %v", name, f.Text, err, want)
		}
	}
	if f, err := ReadIn(root, "/long", 101); err != nil || len(f.Text) != 101 {
		t.Errorf("as long as it may be: %d bytes, %v", len(f.Text), err)
	}
	if _, err := ReadIn(filepath.Join(root, "none"), "/a", 100); !errors.Is(err, unix.ENOENT) {
		t.Errorf("no root: %v", err)
	}
}

func TestReadBelow(t *testing.T) {
	root := tree(t)
	link := filepath.Join(t.TempDir(), "cwd")
	if err := os.Symlink(filepath.Join(root, "a"), link); err != nil {
		t.Fatal(err)
	}
	// As with /proc/PID/cwd, what is above is above what the link leads to.
	for _, names := range [][]string{{"b", "file"}, {"..", "a", "b", "file"}} {
		if f, err := ReadBelow(link, 100, names...); err != nil || string(f.Text) != "text" {
			t.Errorf("%v: %q, %v", names, f.Text, err)
		}
	}
	for _, names := range [][]string{{"..", "absolute", "file"}, {"up"}, {"..", "loop"}, {"..", "pipe"}, {"b"}, {}, {"none", "file"}, {"..", "long"}} {
		if f, err := ReadBelow(link, 100, names...); err == nil {
			t.Errorf("%v: %q", names, f.Text)
		}
	}
}

func TestNamesIn(t *testing.T) {
	root := tree(t)
	if names, err := NamesIn(root, "/absolute/.."); err != nil || !slices.Equal(names, []string{"b/", "up"}) {
		t.Errorf("%q, %v", names, err)
	}
	if names, err := NamesIn(root, "/secret"); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("a file: %q, %v", names, err)
	}
}

// TestNothingLeft checks that no file stays open.
func TestNothingLeft(t *testing.T) {
	open := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	before := open()
	t.Run("all", func(t *testing.T) {
		TestReadIn(t)
		TestReadBelow(t)
		TestNamesIn(t)
	})
	if after := open(); after != before {
		t.Errorf("%d files were open, %d are", before, after)
	}
}
