package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// hello is a program that compiles in seconds without a build cache.
const hello = `package main

var version = "unset"

func main() { println("hello from", version) }
`

// clone makes a stand-in for a clone of the project, with program as the probe.
func clone(t *testing.T, program string) string {
	t.Helper()
	root := t.TempDir()
	for path, content := range map[string]string{
		"go.mod":               "module example.com/clone\n\ngo 1.26.0\n",
		"images/probe/main.go": program,
	} {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// buildProbe runs the command and returns the tarball it wrote.
func buildProbe(t *testing.T, root string, args ...string) []byte {
	t.Helper()
	output := t.TempDir()
	args = append([]string{"--root", root, "--output", output}, args...)
	if err := run(append(args, "probe")); err != nil {
		t.Fatal(err)
	}
	archive, err := os.ReadFile(filepath.Join(output, "probe.tar"))
	if err != nil {
		t.Fatal(err)
	}
	return archive
}

// unpack writes the files of a tarball below a new folder.
func unpack(t *testing.T, archive []byte) string {
	t.Helper()
	dir := t.TempDir()
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		header, err := r.Next()
		if err == io.EOF {
			return dir
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.FromSlash(header.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestReproducible builds in two clones, the second time without the first
// one's build cache and under another build configuration of the caller's.
func TestReproducible(t *testing.T) {
	const archs = "s390x,amd64"
	first := buildProbe(t, clone(t, hello), "--arch", archs)
	t.Setenv("GOCACHE", t.TempDir())
	t.Setenv("GOFLAGS", "-buildvcs=auto -tags=other")
	t.Setenv("GOAMD64", "v3")
	second := buildProbe(t, clone(t, hello), "--arch", archs)
	if !bytes.Equal(first, second) {
		t.Errorf("two builds differ: %d and %d bytes", len(first), len(second))
	}

	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	if dated := buildProbe(t, clone(t, hello), "--arch", archs); bytes.Equal(first, dated) {
		t.Error("SOURCE_DATE_EPOCH makes no difference")
	}
}

// TestLayout reads an image back with go-containerregistry, which checks every
// digest, size and media type, and then what only this project asks for.
func TestLayout(t *testing.T) {
	archive := buildProbe(t, clone(t, hello), "--arch", "s390x,arm,amd64", "--version", "v1.2.3", "--repository", "registry.example.com/tools")
	dir := unpack(t, archive)
	l, err := layout.FromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	root, err := l.ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(root); err != nil {
		t.Fatal(err)
	}
	manifest, err := root.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != 1 {
		t.Fatalf("index.json lists %d images, want 1", len(manifest.Manifests))
	}
	for _, key := range []string{"io.containerd.image.name", "org.opencontainers.image.ref.name"} {
		if got, want := manifest.Manifests[0].Annotations[key], "registry.example.com/tools/probe:v1.2.3"; got != want {
			t.Errorf("annotation %s is %q, want %q", key, got, want)
		}
	}

	index, err := root.ImageIndex(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err = index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, desc := range manifest.Manifests {
		got = append(got, desc.Platform.String())
		if desc.ArtifactType != "" {
			t.Errorf("%s: artifactType is %q: skopeo would change the index", desc.Platform, desc.ArtifactType)
		}
		img, err := index.Image(desc.Digest)
		if err != nil {
			t.Fatal(err)
		}
		checkImage(t, img, desc.Platform)
	}
	if want := "linux/amd64 linux/arm/v7 linux/s390x"; strings.Join(got, " ") != want {
		t.Errorf("platforms are %q, want %q", got, want)
	}

	// oci-layout, index.json, the index, and of each image manifest, config
	// and layer: nothing that no descriptor points to.
	if files, want := countFiles(t, dir), 3+3*3; files != want {
		t.Errorf("the layout has %d files, want %d", files, want)
	}
}

func countFiles(t *testing.T, dir string) (n int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func checkImage(t *testing.T, img v1.Image, p *v1.Platform) {
	t.Helper()
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if !config.Platform().Equals(*p) {
		t.Errorf("%s: the config says %s", p, config.Platform())
	}
	if config.Created.Unix() != 0 {
		t.Errorf("%s: created %s, want the epoch", p, config.Created)
	}
	wantConfig := `{"Entrypoint":["/probe"],` +
		`"Labels":{"org.opencontainers.image.licenses":"Apache-2.0",` +
		`"org.opencontainers.image.source":"https://github.com/kubectl-seccomp/kubectl-seccomp",` +
		`"org.opencontainers.image.title":"kubectl-seccomp probe",` +
		`"org.opencontainers.image.version":"v1.2.3"},` +
		`"User":"0:0","WorkingDir":"/"}`
	if got, err := json.Marshal(config.Config); err != nil || string(got) != wantConfig {
		t.Errorf("%s: config\n got %s (%v)\nwant %s", p, got, err, wantConfig)
	}

	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	if len(layers) != 1 {
		t.Fatalf("%s: %d layers, want 1", p, len(layers))
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	r := tar.NewReader(content)
	header, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprintf("%s %o %d:%d %d", header.Name, header.Mode, header.Uid, header.Gid, header.ModTime.Unix()), "probe 755 0:0 0"; got != want {
		t.Errorf("%s: the layer's file is %q, want %q", p, got, want)
	}
	program, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(program, []byte("v1.2.3")) {
		t.Errorf("%s: the program does not know its version", p)
	}
	if p.Architecture == runtime.GOARCH {
		checkRuns(t, program)
	}
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("%s: more than one file in the layer (%v)", p, err)
	}
}

func TestTooLarge(t *testing.T) {
	large := "package main\n\nimport _ \"embed\"\n\n//go:embed ballast\nvar ballast string\n\nfunc main() { println(ballast[:1]) }\n"
	root := clone(t, large)
	if err := os.WriteFile(filepath.Join(root, "images/probe/ballast"), make([]byte, 8<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	output := t.TempDir()
	err := run([]string{"--root", root, "--output", output, "--arch", "amd64", "probe"})
	if err == nil || !strings.Contains(err.Error(), "image probe: the program for linux/amd64 has ") || !strings.Contains(err.Error(), "over the limit of 8388608") {
		t.Errorf("got %v", err)
	}
	if left, err := os.ReadDir(output); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestBadInput(t *testing.T) {
	broken := clone(t, "package main\n\nfunc main() { undefined() }\n")
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"no image", nil, "no image named"},
		{"unknown image", []string{"nginx"}, `unknown image "nginx"`},
		{"image twice", []string{"probe", "probe"}, `image "probe" is named twice`},
		{"unknown architecture", []string{"--arch", "amd64,vax", "probe"}, `unknown architecture "vax"`},
		{"no architecture", []string{"--arch", "", "probe"}, `unknown architecture ""`},
		{"version", []string{"--version", "a b", "probe"}, `version "a b" is no image tag`},
		{"repository", []string{"--repository", "Example.com/UP", "probe"}, `repository "Example.com/UP" is none`},
		{"does not compile", []string{"--arch", "amd64", "--root", broken, "probe"}, "go build for linux/amd64 in " + broken},
	} {
		t.Run(test.name, func(t *testing.T) {
			output := t.TempDir()
			err := run(append([]string{"--output", output}, test.args...))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want it to contain %q", err, test.want)
			}
			if left, err := os.ReadDir(output); err != nil || len(left) != 0 {
				t.Errorf("left behind: %v %v", left, err)
			}
		})
	}
}

func TestSourceDate(t *testing.T) {
	for s, want := range map[string]int64{"": 0, "1700000000": 1700000000} {
		t.Setenv("SOURCE_DATE_EPOCH", s)
		if got, err := sourceDate(); err != nil || got.Unix() != want {
			t.Errorf("%q: got %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"-1", "today", "1e9"} {
		t.Setenv("SOURCE_DATE_EPOCH", s)
		if _, err := sourceDate(); err == nil {
			t.Errorf("%q is accepted", s)
		}
	}
}
