package complete

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/target"
)

// An Answer is what a word can become.
type Answer struct {
	Words []string
	// Files tells that the shell may offer files, too.
	Files bool
	// Open tells that the word goes on behind what is offered.
	Open bool
}

// Pods completes an operand that names pods, workloads or containers of them:
// [[NAMESPACE/]TYPE/]NAME[:CONTAINER].
func (c Cluster) PodOperand(word string) Answer {
	if before, container, ok := strings.Cut(word, ":"); ok {
		o, err := target.Parse(before)
		if err != nil || o.RuntimeDefault || o.PID != 0 {
			return Answer{}
		}
		return Answer{Words: with(before+":", container, c.Containers(o))}
	}
	parts := strings.Split(word, "/")
	last := parts[len(parts)-1]
	switch len(parts) {
	case 1:
		words := append(c.Pods(c.Namespace(), last), with("", last, suffixed(Types()[1:], "/"))...)
		if len(words) == 0 {
			words = suffixed(c.Names(Namespaces, "", last), "/")
		}
		return answer(words)
	case 2:
		if names, ok := c.Of(parts[0], c.Namespace(), last); ok {
			return answer(with(parts[0]+"/", last, names))
		}
		// Not a type, so a namespace.
		return answer(with(parts[0]+"/", last, suffixed(Types(), "/")))
	case 3:
		names, _ := c.Of(parts[1], parts[0], last)
		return answer(with(parts[0]+"/"+parts[1]+"/", last, names))
	}
	return Answer{}
}

// NodeOperand completes node/NAME, behind which end follows.
func (c Cluster) NodeOperand(word, end string) Answer {
	typ, name, ok := strings.Cut(word, "/")
	switch {
	case !ok && strings.HasPrefix("node", word):
		return answer([]string{"node/"})
	case !ok || strings.Contains(name, ":"):
		return Answer{}
	}
	switch strings.ToLower(typ) {
	case "no", "node", "nodes":
		return answer(with(typ+"/", name, suffixed(c.Names(Nodes, "", name), end)))
	}
	return Answer{}
}

// Source completes an operand of any kind.
func (c Cluster) Source(word string) Answer {
	switch {
	case strings.HasPrefix(word, "."), strings.HasPrefix(word, "/"), strings.HasPrefix(word, "~"):
		return Answer{Files: true}
	case strings.HasPrefix(word, "RuntimeDefault@"):
		node := strings.TrimPrefix(word, "RuntimeDefault@")
		return answer(with("RuntimeDefault@", node, c.Names(Nodes, "", node)))
	case strings.HasPrefix(word, "pid:"), strings.HasPrefix(word, "docker:"):
		return Answer{}
	}
	for _, scheme := range []string{"profile:", "bpf:"} {
		if path, ok := strings.CutPrefix(word, scheme); ok {
			if i := strings.LastIndexByte(path, ','); i >= 0 && scheme == "bpf:" {
				scheme, path = word[:len(scheme)+i+1], path[i+1:]
			}
			return answer(with(scheme, path, files(path)))
		}
	}
	if node := c.NodeOperand(word, ":"); strings.Contains(word, "/") && len(node.Words) > 0 {
		return node
	}
	a := c.PodOperand(word)
	if !strings.ContainsAny(word, "/:") {
		a.Words = append(a.Words, with("", word, []string{"node/", "RuntimeDefault", "Unconfined", "profile:", "bpf:", "pid:", "docker:"})...)
		a = answer(a.Words)
	}
	return a
}

// answer is open if all that is offered leads on.
func answer(words []string) Answer {
	open := len(words) > 0
	for _, w := range words {
		open = open && strings.HasSuffix(w, "/") || open && strings.HasSuffix(w, ":")
	}
	return Answer{Words: words, Open: open}
}

// with returns the words that begin with a prefix, behind what comes before them.
func with(before, prefix string, words []string) (list []string) {
	for _, w := range words {
		if strings.HasPrefix(w, prefix) {
			list = append(list, before+w)
		}
	}
	return list
}

func suffixed(words []string, suffix string) (list []string) {
	for _, w := range words {
		list = append(list, w+suffix)
	}
	return list
}

// maxFiles is how many entries of a folder are looked at.
const maxFiles = 2000

// files returns the paths that begin with one: the shell does not find them behind
// "profile:". A folder ends with a slash.
func files(path string) (list []string) {
	dir, _ := filepath.Split(path)
	folder, err := os.Open(filepath.Join(dir, "."))
	if err != nil {
		return nil
	}
	defer folder.Close()
	entries, err := folder.ReadDir(maxFiles)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		name := dir + e.Name()
		if info, err := os.Stat(name); err == nil && info.IsDir() {
			name += "/"
		}
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}
