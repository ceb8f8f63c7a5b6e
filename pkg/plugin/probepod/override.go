package probepod

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/internal/failure"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/terminal"
)

// Override is a part of a Pod that is merged over those that New returns, as
// `kubectl run --overrides` does it by a strategic merge: lists of containers by
// name, maps by key, other lists as a whole; null takes away.
type Override struct{ patch map[string]any }

// part is the fields of an object that may be overridden: nil for one whose content is
// of no concern here.
type part map[string]part

var (
	// overridable is what of a probe pod may be another. It is what admission, a
	// quota, a mesh or a node may ask for. What makes the pod a probe, what decides
	// where it runs and when it ends, and what it may do to the node, is not in it.
	overridable = part{
		"apiVersion": nil, "kind": nil, // Pod, as is checked
		"metadata": {"labels": nil, "annotations": nil}, // but for ours
		"spec": {
			"tolerations":      nil,
			"nodeSelector":     nil, // kubelet goes by it
			"runtimeClassName": nil,
			"securityContext":  {"seLinuxOptions": nil, "appArmorProfile": nil, "supplementalGroups": nil},
			"containers":       nil, // by name
		},
	}
	overridableProbe = part{
		"name": nil, "resources": nil,
		"securityContext": {"seLinuxOptions": nil, "appArmorProfile": nil},
	}
	// A reference has what the runtime gives by default.
	overridableReference = part{"name": nil, "resources": nil}

	referenceContainer = regexp.MustCompile(`^reference-[0-9]+$`)
)

// instead says for fields that may not be overridden what there is in their place.
var instead = map[string]string{
	"metadata.name":                                         "runs find their pods by it",
	"metadata.namespace":                                    "see --probe-namespace and --create-namespace",
	"metadata.ownerReferences":                              "the plugin deletes its pods itself",
	"spec.nodeName":                                         "it is the node of the targets",
	"spec.affinity":                                         "the pod is not scheduled: it is for the node of the targets",
	"spec.activeDeadlineSeconds":                            "see --timeout",
	"spec.restartPolicy":                                    "a probe runs once",
	"spec.hostPID":                                          "a probe sees nothing without",
	"spec.hostNetwork":                                      "a probe talks to nobody",
	"spec.automountServiceAccountToken":                     "a probe talks to nobody",
	"spec.volumes":                                          "a probe reads /proc and nothing else",
	"spec.serviceAccountName":                               "see --service-account",
	"spec.priorityClassName":                                "see --priority-class",
	"spec.imagePullSecrets":                                 "see --image-pull-secret",
	"spec.securityContext.seccompProfile":                   "the kernel shows filters only to who has none",
	"spec.containers[probe].image":                          "see --image",
	"spec.containers[probe].imagePullPolicy":                "see --image-pull-policy",
	"spec.containers[probe].command":                        "it is what makes the pod a probe",
	"spec.containers[probe].args":                           "it is what makes the pod a probe",
	"spec.containers[probe].volumeMounts":                   "a probe reads /proc and nothing else",
	"spec.containers[probe].securityContext.privileged":     "see --least-privilege",
	"spec.containers[probe].securityContext.capabilities":   "see --least-privilege",
	"spec.containers[probe].securityContext.seccompProfile": "the kernel shows filters only to who has none",
	"spec.containers[probe].securityContext.runAsUser":      "capabilities are those of root",
}

// ParseOverride understands a part of a Pod, in YAML or JSON, and refuses what may
// not be overridden, by the name of the field.
func ParseOverride(text []byte) (*Override, error) {
	text, err := onlyDocument(text)
	if err != nil {
		return nil, err
	}
	var patch map[string]any
	if err := yaml.UnmarshalStrict(text, &patch); err != nil {
		return nil, errors.New(terminal.Line(failure.Clip(err.Error())))
	}
	if len(patch) == 0 {
		return nil, errors.New("empty: want a part of a Pod")
	}
	for field, want := range map[string]string{"apiVersion": "v1", "kind": "Pod"} {
		if got, ok := patch[field]; ok && got != want {
			return nil, fmt.Errorf("%s %v: want %s", field, got, want)
		}
	}
	if err := overridable.check("", patch); err != nil {
		return nil, err
	}
	if err := checkMeta(patch); err != nil {
		return nil, err
	}
	if err := checkContainers(patch); err != nil {
		return nil, err
	}
	// Misspelled fields further down, and values of another type.
	if err := yaml.UnmarshalStrict(text, new(corev1.Pod)); err != nil {
		return nil, errors.New(terminal.Line(failure.Clip(err.Error())))
	}
	o := &Override{patch}
	_, err = o.apply(New(Request{Node: "node", References: make([]Reference, MaxReferences)}, Options{}, podName("node"), runIDFunc()))
	return o, err
}

// onlyDocument is the one document of a YAML stream, beside those that hold nothing,
// such as a comment before the first "---".
func onlyDocument(text []byte) (only []byte, err error) {
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		document, err := documents.Read()
		switch {
		case err == io.EOF:
			return only, nil
		case err != nil:
			return nil, errors.New(terminal.Line(failure.Clip(err.Error())))
		}
		var holds any
		if yaml.Unmarshal(document, &holds) == nil && holds == nil {
			continue
		}
		if only != nil {
			return nil, errors.New("more than one document: want a part of a Pod")
		}
		only = document
	}
}

// check refuses what is in an object and not in the part.
func (p part) check(path string, object any) error {
	m, ok := object.(map[string]any)
	if !ok {
		return fmt.Errorf("%s: want an object", path)
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		at := strings.TrimPrefix(path+"."+name, ".")
		inner, ok := p[name]
		switch {
		case !ok:
			return refuseField(at)
		case inner != nil:
			if err := inner.check(at, m[name]); err != nil {
				return err
			}
		}
	}
	return nil
}

func refuseField(path string) error {
	said := failure.Clip(path) + " cannot be overridden"
	if why := instead[path]; why != "" {
		said += ": " + why
	}
	return errors.New(said)
}

// checkMeta refuses the labels and annotations by which probe pods are known, and the
// directives of a strategic merge, which replace or delete others than they name.
func checkMeta(patch map[string]any) error {
	meta, _ := patch["metadata"].(map[string]any)
	for field, value := range meta { // labels, annotations
		m, ok := value.(map[string]any)
		if !ok {
			return fmt.Errorf("metadata.%s: want an object", field)
		}
		for key := range m {
			if _, ours := (Options{}).labels("")[key]; ours || strings.HasPrefix(key, annotationPrefix) || strings.HasPrefix(key, "$") {
				return refuseField("metadata." + field + "[" + key + "]")
			}
		}
	}
	return nil
}

// checkContainers refuses containers that a probe pod does not have, and what of
// those that it has may not be another.
func checkContainers(patch map[string]any) error {
	spec, _ := patch["spec"].(map[string]any)
	value, ok := spec["containers"]
	if !ok {
		return nil
	}
	list, ok := value.([]any)
	if !ok {
		return errors.New("spec.containers: want a list")
	}
	seen := make(map[string]bool)
	for _, container := range list {
		m, _ := container.(map[string]any)
		name, _ := m["name"].(string)
		path := "spec.containers[" + name + "]"
		allowed := overridableProbe
		switch {
		case seen[name]:
			return fmt.Errorf("%s is there twice", failure.Clip(path))
		case name == containerName:
		case referenceContainer.MatchString(name):
			allowed = overridableReference
		case name == "":
			return errors.New("spec.containers: a container without a name: want " + containerName)
		default:
			return fmt.Errorf("%s: there is no such container: want %s", failure.Clip(path), containerName)
		}
		seen[name] = true
		if err := allowed.check(path, m); err != nil {
			return err
		}
	}
	return nil
}

// apply returns the pod with what the override changes.
func (o *Override) apply(pod *corev1.Pod) (*corev1.Pod, error) {
	if o == nil {
		return pod, nil
	}
	before, err := json.Marshal(pod)
	if err != nil {
		return nil, err
	}
	patch, err := json.Marshal(o.of(pod))
	if err != nil {
		return nil, err
	}
	after, err := strategicpatch.StrategicMergePatch(before, patch, corev1.Pod{})
	if err != nil {
		return nil, err
	}
	merged := new(corev1.Pod)
	if err := json.Unmarshal(after, merged); err != nil {
		return nil, err
	}
	// The order is that in which kubelet starts them, and a merge changes it.
	place := make(map[string]int)
	for i, c := range pod.Spec.Containers {
		place[c.Name] = i
	}
	slices.SortFunc(merged.Spec.Containers, func(a, b corev1.Container) int { return cmp.Compare(place[a.Name], place[b.Name]) })
	if !made(merged) || !holds(merged.Labels, pod.Labels) || !holds(merged.Annotations, pod.Annotations) || len(merged.Spec.Containers) != len(pod.Spec.Containers) {
		return nil, errors.New("what is left is no probe pod")
	}
	return merged, nil
}

// holds reports whether all that is in part is in m.
func holds(m, part map[string]string) bool {
	for key, value := range part {
		if got, ok := m[key]; !ok || got != value {
			return false
		}
	}
	return true
}

// of is the patch without the containers that a pod does not have: references are
// there for some requests only.
func (o *Override) of(pod *corev1.Pod) map[string]any {
	spec, _ := o.patch["spec"].(map[string]any)
	list, ok := spec["containers"].([]any)
	if !ok {
		return o.patch
	}
	patch := maps.Clone(o.patch)
	spec = maps.Clone(spec)
	patch["spec"] = spec
	spec["containers"] = slices.DeleteFunc(slices.Clone(list), func(container any) bool {
		name := container.(map[string]any)["name"]
		return !slices.ContainsFunc(pod.Spec.Containers, func(c corev1.Container) bool { return c.Name == name })
	})
	return patch
}
