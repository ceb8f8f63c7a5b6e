package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sunPathMax is the size of sockaddr_un.sun_path, its final NUL included
// (unix(7)).
const sunPathMax = 108

func TestSocketPathsAreShort(t *testing.T) {
	l := newLayout("/" + strings.Repeat("very/long/", 30) + "clone")
	for _, n := range l.Nodes {
		for _, path := range []string{
			n.socket() + ".ttrpc",
			filepath.Join(n.kubeletDir(), "pod-resources", "kubelet.sock"),
			filepath.Join(n.kubeletDir(), "plugins_registry", strings.Repeat("x", 20)+".sock"),
		} {
			if len(path) >= sunPathMax {
				t.Errorf("%s is %d bytes long", path, len(path))
			}
		}
	}
}

func TestNodesDoNotCollide(t *testing.T) {
	taken := map[any]string{}
	for _, n := range newLayout("/src").Nodes {
		for _, v := range []any{n.KubeletPort, n.HealthzPort, n.socket(), n.stateDir(), n.kubeletDir(), n.podLogs(), n.containerdConfig()} {
			if other, ok := taken[v]; ok {
				t.Errorf("%s and %s both have %v", other, n.Name, v)
			}
			taken[v] = n.Name
		}
	}
}

func TestNetworksAreApart(t *testing.T) {
	pods, services := netip.MustParsePrefix(podCIDR), netip.MustParsePrefix(serviceCIDR)
	if pods.Overlaps(services) {
		t.Error("pods and services share addresses")
	}
	if !pods.Contains(netip.MustParseAddr(bridgeIP)) {
		t.Error("the bridge is outside of the pods' network")
	}
	for _, a := range []string{serviceIP, serviceDNS} {
		if !services.Contains(netip.MustParseAddr(a)) {
			t.Errorf("%s is no service address", a)
		}
	}
	if !strings.Contains(apiserverURL, ":16443") || apiserverPort != 16443 {
		t.Error("apiserverURL and apiserverPort disagree")
	}
}

func TestContainerdConfig(t *testing.T) {
	for _, n := range newLayout("/src").Nodes {
		b, err := containerdConfig(n, "native")
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{n.socket(), n.stateDir(), n.runcBin, n.crunBin, pauseImage, n.cniConfDir(), `snapshotter = "native"`} {
			if !bytes.Contains(b, []byte(want)) {
				t.Errorf("%s: no %s in\n%s", n.Name, want, b)
			}
		}
	}
	if _, err := containerdConfig(Node{configVersion: 1}, "native"); err == nil {
		t.Error("a version without a template was accepted")
	}
}

func TestKubeconfigIsReadBack(t *testing.T) {
	l := newLayout(t.TempDir())
	for _, n := range l.Nodes {
		if err := os.MkdirAll(n.dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := writeCredentials(l); err != nil {
		t.Fatal(err)
	}
	if _, err := newAPI(l); err != nil {
		t.Error(err)
	}
	info, err := os.Stat(l.kubeconfig())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the administrator's kubeconfig: %v, %v", info.Mode(), err)
	}
}

func TestSingleBinaryImage(t *testing.T) {
	image, err := singleBinaryImage("localhost/x:1", "x", []byte("\x7fELF"))
	if err != nil {
		t.Fatal(err)
	}
	files := untar(t, image)

	// Follow the chain index → manifest → config and layer, checking each
	// digest against the blob's name.
	type descriptor struct {
		Digest string
		Size   int
	}
	blob := func(d descriptor) []byte {
		b, ok := files["blobs/"+strings.Replace(d.Digest, ":", "/", 1)]
		if !ok || len(b) != d.Size || digest(b) != d.Digest {
			t.Fatalf("blob %s: present %v, %d bytes, want %d", d.Digest, ok, len(b), d.Size)
		}
		return b
	}
	var index struct{ Manifests []descriptor }
	mustDecode(t, files["index.json"], &index)
	var manifest struct {
		Config descriptor
		Layers []descriptor
	}
	mustDecode(t, blob(index.Manifests[0]), &manifest)
	var config struct{ RootFS struct{ Diff_IDs []string } }
	mustDecode(t, blob(manifest.Config), &config)
	if len(config.RootFS.Diff_IDs) != 1 || config.RootFS.Diff_IDs[0] != manifest.Layers[0].Digest {
		t.Errorf("diff_ids %q do not name the layer", config.RootFS.Diff_IDs)
	}
	if layer := untar(t, blob(manifest.Layers[0])); string(layer["x"]) != "\x7fELF" {
		t.Errorf("the layer holds %q", layer)
	}

	path := filepath.Join(t.TempDir(), "image.tar")
	if err := os.WriteFile(path, image, 0o644); err != nil {
		t.Fatal(err)
	}
	names, err := imageNames(path)
	if err != nil || len(names) != 1 || names[0] != "localhost/x:1" {
		t.Errorf("imageNames: %q, %v", names, err)
	}
}

func TestImageNamesRefuses(t *testing.T) {
	archive := func(name, content string) []byte {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		if err := addFile(w, name, 0o644, []byte(content)); err != nil {
			t.Fatal(err)
		}
		w.Close()
		return b.Bytes()
	}
	for what, data := range map[string][]byte{
		"no archive":  []byte("hello"),
		"no index":    archive("oci-layout", "{}"),
		"bad index":   archive("index.json", "{"),
		"no manifest": archive("index.json", "{}"),
		"no name":     archive("index.json", `{"manifests":[{"annotations":{"org.opencontainers.image.ref.name":"latest"}}]}`),
	} {
		path := filepath.Join(t.TempDir(), "image.tar")
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		if names, err := imageNames(path); err == nil {
			t.Errorf("%s: named %q", what, names)
		}
	}
}

func untar(t *testing.T, b []byte) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(b)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

func mustDecode(t *testing.T, b []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
}
