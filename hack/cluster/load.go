package main

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// load imports image tarballs into every node and prints the images' names.
func load(ctx context.Context, l Layout, files []string) error {
	if _, err := ownRecord(l); err != nil {
		return err
	}
	for _, file := range files {
		names, err := imageNames(file)
		if err != nil {
			return err
		}
		errs := make([]error, len(l.Nodes))
		var wg sync.WaitGroup
		for i, n := range l.Nodes {
			wg.Go(func() { errs[i] = n.importImage(ctx, file, names) })
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			return err
		}
		for _, name := range names {
			fmt.Println(name)
		}
	}
	return nil
}

// nameAnnotation is where containerd finds the name to give to an image of an
// OCI layout.
const nameAnnotation = "io.containerd.image.name"

// imageNames reads the names of the images in an OCI layout tarball.
func imageNames(file string) ([]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%s holds no index.json: it is no OCI image layout", file)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if strings.TrimPrefix(h.Name, "./") != "index.json" {
			continue
		}
		var index struct {
			Manifests []struct{ Annotations map[string]string }
		}
		if err := json.NewDecoder(io.LimitReader(r, 1<<20)).Decode(&index); err != nil {
			return nil, fmt.Errorf("%s: index.json: %w", file, err)
		}
		var names []string
		for _, m := range index.Manifests {
			if name := m.Annotations[nameAnnotation]; name != "" {
				names = append(names, name)
			}
		}
		if len(names) == 0 {
			return nil, fmt.Errorf("%s: no image in it has the annotation %s, so it would get no name", file, nameAnnotation)
		}
		return names, nil
	}
}

// importImage imports a tarball and waits until the kubelet can use its images.
func (n Node) importImage(ctx context.Context, file string, names []string) error {
	args := []string{"images", "import"}
	if n.configVersion >= 3 {
		// The way of containerd 1.6: its names are those in the tarball.
		args = append(args, "--local")
	}
	if _, err := n.ctr(ctx, append(args, file)...); err != nil {
		return err
	}
	// CRI takes notice of an image some time after it is there, and marks it
	// then. Importing anew removes the mark.
	const mark = "io.cri-containerd.image=managed"
	for _, name := range names {
		ctx, cancel := context.WithTimeoutCause(ctx, 30*time.Second, errors.New("not taken up by CRI within 30 s"))
		err := poll(ctx, func(ctx context.Context) error {
			out, err := n.ctr(ctx, "images", "ls", "name=="+name)
			if err == nil && !strings.Contains(out, mark) {
				err = errors.New("no label " + mark)
			}
			return err
		})
		cancel()
		if err != nil {
			return fmt.Errorf("import %s into %s: %w", name, n.Name, err)
		}
	}
	return nil
}

// ctr runs containerd's client on the namespace that Kubernetes uses.
func (n Node) ctr(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, n.ctrBin, append([]string{"-a", n.socket(), "-n", "k8s.io"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("ctr %s on %s: %w: %s", strings.Join(args, " "), n.Name, err, lastLines(out, 1))
	}
	return string(out), nil
}
