package krew

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var linux = Machine{"linux", "amd64"}

// file is an entry of an archive: a symbolic link if target is set.
type file struct{ name, content, target string }

func tarGz(t *testing.T, files ...file) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := tar.NewWriter(z)
	for _, f := range files {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: 0o755, Size: int64(len(f.content))}
		if f.target != "" {
			header.Typeflag, header.Linkname = tar.TypeSymlink, f.target
		}
		if err := w.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(f.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zipped(t *testing.T, files ...file) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, f := range files {
		header := &zip.FileHeader{Name: f.name}
		header.SetMode(0o755)
		content, err := w.CreateHeader(header)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := content.Write([]byte(f.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func platformOf(archive []byte, bin string) Platform {
	return Platform{SHA256: fmt.Sprintf("%x", sha256.Sum256(archive)), Bin: bin}
}

func TestInstall(t *testing.T) {
	files := []file{{name: "LICENSE", content: "free"}, {name: "tool", content: "#!/bin/sh\n"}}
	for _, test := range []struct {
		name, plugin string
		machine      Machine
		archive      []byte
		link         string
	}{
		{"tar.gz", "ex-ample", linux, tarGz(t, files...), "kubectl-ex_ample"},
		{"zip", "example", Machine{"windows", "386"}, zipped(t, files...), "kubectl-example.exe"},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			link, err := Install(root, test.plugin, "v1.0.0", platformOf(test.archive, "tool"), test.machine, test.archive)
			if err != nil {
				t.Fatal(err)
			}
			if want := filepath.Join(root, "bin", test.link); link != want {
				t.Errorf("the link is %s, want %s", link, want)
			}
			info, err := os.Stat(link)
			if err != nil || info.Mode().Perm() != 0o755 || info.Size() != 10 {
				t.Errorf("the program is %v (%v)", info, err)
			}
			if left, err := filepath.Glob(filepath.Join(root, "unpacked-*")); err != nil || len(left) != 0 {
				t.Errorf("left behind: %v %v", left, err)
			}
		})
	}
}

func TestInstallFiles(t *testing.T) {
	archive := tarGz(t, file{name: "dir/LICENSE", content: "free"}, file{name: "dir/tool", content: "x"}, file{name: "other", content: "y"})
	p := platformOf(archive, "bin/tool")
	p.Files = []FileOperation{{"dir/*", "bin"}}
	root := t.TempDir()
	link, err := Install(root, "example", "v1.0.0", p, linux, archive)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(link); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(root, "store/example/v1.0.0/other")); err == nil {
		t.Error("a file is installed that files does not list")
	}
}

func TestInstallRefuses(t *testing.T) {
	licence, tool := file{name: "LICENSE", content: "free"}, file{name: "tool", content: "x"}
	for _, test := range []struct {
		name    string
		archive []byte
		change  func(*Platform)
		want    string
	}{
		{"sum", tarGz(t, licence, tool), func(p *Platform) { p.SHA256 = strings.Repeat("0", 64) }, "the manifest says 0000"},
		{"format", []byte("#!/bin/sh\n"), nil, "looks like text/plain"},
		{"dots", tarGz(t, licence, tool, file{name: "a/../b"}), nil, `suspicious entry "a/../b"`},
		{"dots in a zip", zipped(t, licence, tool, file{name: "../b"}), nil, `suspicious entry "../b"`},
		{"absolute", tarGz(t, licence, tool, file{name: "/etc/motd"}), nil, `suspicious entry "/etc/motd"`},
		{"link", tarGz(t, licence, tool, file{name: "link", target: "/"}), nil, "neither a file nor a folder"},
		{"no program", tarGz(t, licence), nil, `bin "tool" is not in the archive`},
		{"program outside", tarGz(t, licence, tool), func(p *Platform) { p.Bin = "../../tool" }, "outside of the folder"},
		{"no licence", tarGz(t, tool, file{name: "NOTICE", content: "x"}), nil, "no licence"},
		{"empty licence", tarGz(t, tool, file{name: "LICENSE"}), nil, "no licence"},
		{"nothing matches", tarGz(t, licence, tool), func(p *Platform) { p.Files = []FileOperation{{"bin/*", "."}} }, `matches "bin/*"`},
		{"files leave", tarGz(t, licence, tool), func(p *Platform) { p.Files = []FileOperation{{"*", "../.."}} }, "leaves its folder"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := platformOf(test.archive, "tool")
			if test.change != nil {
				test.change(&p)
			}
			_, err := Install(t.TempDir(), "example", "v1.0.0", p, linux, test.archive)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want it to contain %q", err, test.want)
			}
		})
	}
}
