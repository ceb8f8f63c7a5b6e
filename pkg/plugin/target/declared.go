package target

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Declared is what a pod's specification asks for a container.
type Declared struct {
	// Type is the seccomp profile's type; "" if the specification sets none, which
	// leaves it to kubelet's seccompDefault.
	Type corev1.SeccompProfileType
	// Localhost is the profile's path, below kubelet's folder of them, if Type is
	// Localhost.
	Localhost string
	// By says where that is: DeclaredByContainer, DeclaredByPod, or the key of an
	// annotation; "" if it is nowhere.
	By string
	// Privileged containers run without a filter, whatever is declared.
	Privileged   bool
	RuntimeClass string
	Capabilities *corev1.Capabilities // nil: none are added or dropped
}

// Values of Declared.By.
const (
	DeclaredByContainer = "container"
	DeclaredByPod       = "pod"
)

// The annotations by which profiles were declared before Kubernetes 1.19. API
// servers and kubelets take no notice of them since 1.27
// (https://kubernetes.io/docs/tutorials/security/seccomp/).
const (
	annotationPod       = corev1.SeccompPodAnnotationKey
	annotationContainer = corev1.SeccompContainerAnnotationKeyPrefix
)

// Annotated tells whether the profile is declared by an annotation only.
func (d Declared) Annotated() bool {
	return d.By != "" && d.By != DeclaredByContainer && d.By != DeclaredByPod
}

// String is the declaration as kubectl users know it: RuntimeDefault,
// Localhost(profiles/audit.json), "unset".
func (d Declared) String() string {
	switch d.Type {
	case "":
		return "unset"
	case corev1.SeccompProfileTypeLocalhost:
		return string(d.Type) + "(" + d.Localhost + ")"
	}
	return string(d.Type)
}

// declared returns what a pod asks for one of its containers. A container's own
// profile comes before the pod's, and fields before annotations.
func declared(pod *corev1.Pod, c *corev1.Container) Declared {
	var d Declared
	if pod.Spec.RuntimeClassName != nil {
		d.RuntimeClass = *pod.Spec.RuntimeClassName
	}
	if s := c.SecurityContext; s != nil {
		d.Privileged = s.Privileged != nil && *s.Privileged
		d.Capabilities = s.Capabilities
		if s.SeccompProfile != nil {
			d.profile(s.SeccompProfile, DeclaredByContainer)
			return d
		}
	}
	if s := pod.Spec.SecurityContext; s != nil && s.SeccompProfile != nil {
		d.profile(s.SeccompProfile, DeclaredByPod)
		return d
	}
	for _, key := range []string{annotationContainer + c.Name, annotationPod} {
		if value := pod.Annotations[key]; value != "" {
			d.annotation(value)
			d.By = key
			return d
		}
	}
	return d
}

func (d *Declared) profile(p *corev1.SeccompProfile, by string) {
	d.Type, d.By = p.Type, by
	if p.LocalhostProfile != nil {
		d.Localhost = *p.LocalhostProfile
	}
}

func (d *Declared) annotation(value string) {
	switch path, local := strings.CutPrefix(value, corev1.SeccompLocalhostProfileNamePrefix); {
	case local:
		d.Type, d.Localhost = corev1.SeccompProfileTypeLocalhost, path
	case value == corev1.SeccompProfileRuntimeDefault, value == "docker/default":
		d.Type = corev1.SeccompProfileTypeRuntimeDefault
	default:
		d.Type = corev1.SeccompProfileTypeUnconfined
	}
}
