package profile

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// keys are the names that an object's members can have, each with those of the
// object that it holds, or holds a list of.
type keys map[string]keys

func (k keys) with(more keys) keys {
	all := keys{}
	for _, m := range []keys{k, more} {
		for name, below := range m {
			all[name] = below
		}
	}
	return all
}

var (
	argKeys   = keys{"index": nil, "value": nil, "valueTwo": nil, "op": nil}
	entryKeys = keys{"names": nil, "action": nil, "errnoRet": nil, "args": argKeys}
	ociKeys   = keys{"defaultAction": nil, "defaultErrnoRet": nil, "architectures": nil, "flags": nil,
		"listenerPath": nil, "listenerMetadata": nil, "syscalls": entryKeys}
	resourceKeys = ociKeys.with(keys{"baseProfileName": nil})

	mapKeys    = keys{"architecture": nil, "subArchitectures": nil}
	dockerKeys = ociKeys.with(keys{"archMap": mapKeys, "syscalls": entryKeys.with(conditionKeys(keys{"caps": nil, "arches": nil, "minKernel": nil}))})
	commonKeys = ociKeys.with(keys{"archMap": mapKeys, "defaultErrno": nil,
		"syscalls": entryKeys.with(conditionKeys(keys{"caps": nil, "arches": nil})).with(keys{"errno": nil})})
)

func conditionKeys(c keys) keys {
	return keys{"name": nil, "comment": nil, "includes": c, "excludes": c}
}

// ignored says what comes of a key that the reader at hand does not know and
// another one does.
var ignored = map[string]string{
	"includes":     "the entry applies always",
	"excludes":     "the entry applies always",
	"minKernel":    "the entry applies to any kernel",
	"archMap":      "no architecture but the machine's own is listed",
	"name":         "the entry names no call",
	"errno":        "the errno is errnoRet's, or else EPERM",
	"defaultErrno": "the errno is defaultErrnoRet's, or else EPERM",
}

// reader returns the name of who reads the profile, and which keys it knows.
func (r *resolver) reader() (string, keys) {
	switch {
	case r.format == CustomResource:
		return "the security-profiles-operator", resourceKeys
	case r.format == OCIConfig:
		return r.target.OCIRuntime.String(), ociKeys
	case r.target.Runtime == DockerEngine:
		return r.target.Runtime.String(), dockerKeys
	case r.target.Runtime == CRIO:
		return r.target.Runtime.String(), commonKeys
	}
	return r.target.Runtime.String(), ociKeys
}

// lintKeys warns of the keys that have no effect, or not the one they look like.
func (r *resolver) lintKeys() {
	name, known := r.reader()
	r.lintObject(r.root, name, known)
}

func (r *resolver) lintObject(n *node, reader string, known keys) {
	for _, item := range n.items {
		r.lintObject(item, reader, known)
	}
	seen := map[string]bool{}
	for _, m := range n.members {
		at := &node{start: m.at, parent: n, key: m.key}
		name, ok := known.find(m.key)
		if !ok {
			r.lintUnknown(at, m, reader, known)
			continue
		}
		if name != m.key {
			r.warn(at, KeyCase, "%s takes %s for %q, which others do not", reader, quote(m.key), name)
		}
		if seen[name] {
			r.warn(at, DuplicateKey, "%q is here a second time: the last one counts", name)
		}
		seen[name] = true
		if below := known[name]; below != nil {
			r.lintObject(m.value, reader, below)
		}
	}
}

// find returns the key that encoding/json takes a name for.
func (k keys) find(name string) (string, bool) {
	if _, ok := k[name]; ok {
		return name, true
	}
	for key := range k {
		if strings.EqualFold(key, name) {
			return key, true
		}
	}
	return "", false
}

func (r *resolver) lintUnknown(at *node, m member, reader string, known keys) {
	if len(r.warned) >= MaxWarnings || strings.HasPrefix(m.key, "_") || strings.HasPrefix(m.key, "$") || strings.EqualFold(m.key, "comment") {
		return // too late, or plainly not meant for a program
	}
	for key, effect := range ignored {
		if strings.EqualFold(key, m.key) {
			if !m.value.empty() {
				r.warn(at, IgnoredKey, "%s ignores %q: %s", reader, m.key, effect)
			}
			return
		}
	}
	r.warn(at, UnknownKey, "%s ignores the unknown key %s%s", reader, quote(m.key), hint(m.key, slices.Sorted(maps.Keys(known))))
}

var callNames = sync.OnceValue(func() []string {
	var names []string
	for _, abi := range syscalls.ABIs() {
		for _, c := range abi.Table() {
			names = append(names, c.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
})

// nearest returns the first of the names that are closest to a misspelt one, by
// their edit distance, "" if none is close.
func nearest(s string, names []string) string {
	const longest = 64
	if len(s) > longest {
		return ""
	}
	best, least := "", 1+max(1, len(s)/4)
	for _, name := range names {
		if d := distance(strings.ToLower(s), strings.ToLower(name)); d < least {
			best, least = name, d
		}
	}
	return best
}

// distance is the number of letters to insert, delete, replace or swap with the next
// to come from one to the other (the optimal string alignment distance).
func distance(a, b string) int {
	before, row := []int(nil), make([]int, len(b)+1) // of the first i-2, i-1 letters of a
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next := make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}
