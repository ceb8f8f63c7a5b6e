package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
)

// digest is a blob's content address, as the OCI image spec writes it.
func digest(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }

// singleBinaryImage returns an OCI image layout, as a tarball, of an image
// whose only file is the given static program (image-spec v1, image-layout.md).
func singleBinaryImage(ref, name string, program []byte) ([]byte, error) {
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	if err := addFile(w, name, 0o755, program); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}

	type object = map[string]any
	config, err := json.Marshal(object{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"config":       object{"Entrypoint": []string{"/" + name}},
		"rootfs":       object{"type": "layers", "diff_ids": []string{digest(layer.Bytes())}},
	})
	if err != nil {
		return nil, err
	}
	const vendor = "application/vnd.oci.image."
	manifest, err := json.Marshal(object{
		"schemaVersion": 2,
		"mediaType":     vendor + "manifest.v1+json",
		"config":        object{"mediaType": vendor + "config.v1+json", "digest": digest(config), "size": len(config)},
		"layers":        []object{{"mediaType": vendor + "layer.v1.tar", "digest": digest(layer.Bytes()), "size": layer.Len()}},
	})
	if err != nil {
		return nil, err
	}
	index, err := json.Marshal(object{
		"schemaVersion": 2,
		"manifests": []object{{
			"mediaType": vendor + "manifest.v1+json", "digest": digest(manifest), "size": len(manifest),
			"annotations": object{"io.containerd.image.name": ref, "org.opencontainers.image.ref.name": ref},
		}},
	})
	if err != nil {
		return nil, err
	}

	var image bytes.Buffer
	w = tar.NewWriter(&image)
	files := []struct {
		name string
		data []byte
	}{
		{"oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)},
		{"index.json", index},
		{blobPath(manifest), manifest},
		{blobPath(config), config},
		{blobPath(layer.Bytes()), layer.Bytes()},
	}
	for _, f := range files {
		if err := addFile(w, f.name, 0o644, f.data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return image.Bytes(), nil
}

func blobPath(b []byte) string { return fmt.Sprintf("blobs/sha256/%x", sha256.Sum256(b)) }

func addFile(w *tar.Writer, name string, mode int64, data []byte) error {
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: int64(len(data)), Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	_, err := w.Write(data)
	return err
}

// writePauseImage makes the sandbox image and returns its tarball's path.
func writePauseImage(l Layout) (string, error) {
	program, err := os.ReadFile(l.libexec("pause"))
	if err != nil {
		return "", err
	}
	image, err := singleBinaryImage(pauseImage, "pause", program)
	if err != nil {
		return "", err
	}
	path := l.libexec("pause.tar")
	return path, replaceFile(path, image, 0o644)
}
