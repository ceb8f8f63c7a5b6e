package source

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/internal/saved"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/profile"
)

// Content is what an operand refers to, read and recognised.
type Content interface {
	// Machine is what the content says about where it is from; false if it does
	// not.
	Machine() (profile.Target, bool)
	// On returns what the content means on a machine. It has one element, unless
	// it is a list of dumps.
	On(profile.Target) ([]*Source, error)
}

// maxDump bounds a saved dump, in bytes: the filters of a thread are at most
// 32768 instructions, and a container's threads seldom have two stacks.
const maxDump = 64 << 20

// maxFilter bounds a filter's file: the longest program there can be, and a byte
// to tell that there is more.
const maxFilter = bpf.MaxInstructions*bpf.InstructionSize + 1

// Open reads what the operand refers to.
func (r Ref) Open(stdin io.Reader) (Content, error) {
	switch r.kind {
	case asNone:
		return &filters{operand: r.Text, format: formatNone}, nil
	case asFilters:
		f := &filters{operand: r.Text, format: formatFilters}
		for _, file := range r.files {
			raw, err := saved.Read(file, stdin, maxFilter)
			if err != nil {
				return nil, err
			}
			f.files, f.raw = append(f.files, saved.Label(file)), append(f.raw, raw)
		}
		return f, nil
	case asProfile:
		data, err := saved.Read(r.files[0], stdin, profile.MaxSize+1)
		if err != nil {
			return nil, err
		}
		return newProfile(r.Text, r.files[0], data)
	}
	data, err := saved.Read(r.files[0], stdin, maxDump)
	if err != nil {
		return nil, err
	}
	return recognise(r, data)
}

// recognise tells what a file's content is. A filter has a NUL in its first
// instruction, since no operation's code needs its upper byte, and no text has
// one.
func recognise(r Ref, data []byte) (Content, error) {
	file := r.files[0]
	if bytes.IndexByte(data, 0) >= 0 {
		return &filters{operand: r.Text, format: formatFilters, files: []string{saved.Label(file)}, raw: [][]byte{data}}, nil
	}
	var meta metav1.TypeMeta
	// What is neither JSON nor YAML, or no object, is for the profile's parser to
	// refuse: that knows lines and columns.
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		if json.Unmarshal(data, &meta) != nil {
			meta = metav1.TypeMeta{}
		}
	} else if len(data) > profile.MaxSize || bytes.Contains(data, []byte("kind:")) {
		if yaml.Unmarshal(data, &meta) != nil {
			meta = metav1.TypeMeta{}
		}
	}
	if strings.HasPrefix(meta.APIVersion, v1alpha1.GroupVersion.Group+"/") {
		return newDumps(r.Text, file, meta, data)
	}
	return newProfile(r.Text, file, data)
}
