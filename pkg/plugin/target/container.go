package target

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/internal/failure"
)

// Why there is nothing to read. The errors that wrap them are *Error.
var (
	ErrNoContainer  = errors.New("no such container")
	ErrNotRunning   = errors.New("not running")
	ErrNodeNotReady = errors.New("node is not ready")
	ErrRestarted    = errors.New("restarted")
	ErrGone         = fmt.Errorf("gone: %w", ErrRestarted) // there is no such container any more
)

// Container is a running container.
type Container struct {
	Namespace, Pod, PodUID string
	Workload               string // what made the pod, TYPE/NAME; "" if nothing did
	Name                   string
	ID                     string // as the node's runtime knows it: containerd://…
	Node                   string
	Image                  string
	RestartCount           int32
	Declared               Declared
}

// String is the container as an operand.
func (c Container) String() string {
	return c.Namespace + "/pod/" + c.Pod + ":" + c.Name
}

// containerID is RUNTIME://ID, as kubelets write it into a status. Its length is
// bounded apart: counted repetitions take milliseconds to compile.
var containerID = regexp.MustCompile(`^[a-z][a-z0-9.+-]*://[0-9A-Za-z_-]+$`)

const maxContainerID = 160

func isContainerID(s string) bool { return len(s) <= maxContainerID && containerID.MatchString(s) }

// defaultContainer is the annotation by which a pod's author says which
// container is meant when none is named (KEP-2227).
const defaultContainer = "kubectl.kubernetes.io/default-container"

// find returns a pod's container of a name, or the one that `kubectl logs`
// chooses when the name is empty: that of the annotation if there is one, and
// otherwise the first.
func find(pod *corev1.Pod, name string) (*corev1.Container, error) {
	if name == "" {
		if c := named(pod, pod.Annotations[defaultContainer]); c != nil {
			return c, nil
		}
		if len(pod.Spec.Containers) > 0 {
			return &pod.Spec.Containers[0], nil
		}
	}
	if c := named(pod, name); c != nil {
		return c, nil
	}
	return nil, failure.New(ErrNoContainer, "find container "+failure.Quote(name)+" of "+podName(pod),
		"it has none of that name", "it has: "+strings.Join(containerNames(pod), ", "))
}

// named returns a pod's regular, init or ephemeral container of a name, nil if
// there is none. Names are unique among the three.
func named(pod *corev1.Pod, name string) *corev1.Container {
	for _, list := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	for i := range pod.Spec.EphemeralContainers {
		if c := &pod.Spec.EphemeralContainers[i]; c.Name == name {
			return (*corev1.Container)(&c.EphemeralContainerCommon)
		}
	}
	return nil
}

func containerNames(pod *corev1.Pod) []string {
	var names []string
	for _, c := range pod.Spec.Containers {
		names = append(names, c.Name)
	}
	for _, c := range pod.Spec.InitContainers {
		names = append(names, c.Name+" (init)")
	}
	for _, c := range pod.Spec.EphemeralContainers {
		names = append(names, c.Name+" (ephemeral)")
	}
	return names
}

func statusOf(pod *corev1.Pod, container string) *corev1.ContainerStatus {
	for _, list := range [][]corev1.ContainerStatus{
		pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses, pod.Status.EphemeralContainerStatuses,
	} {
		if i := slices.IndexFunc(list, func(s corev1.ContainerStatus) bool { return s.Name == container }); i >= 0 {
			return &list[i]
		}
	}
	return nil
}

// running returns a pod's container as it runs, or why it does not.
func (r Resolver) running(pod *corev1.Pod, name string) (Container, error) {
	spec, err := find(pod, name)
	if err != nil {
		return Container{}, err
	}
	op := "read container " + spec.Name + " of " + podName(pod)
	status := statusOf(pod, spec.Name)
	if status == nil || status.State.Running == nil {
		said, remedy := r.whyNot(pod, spec.Name, status)
		return Container{}, failure.New(ErrNotRunning, op, said, remedy)
	}
	if !isContainerID(status.ContainerID) {
		return Container{}, failure.New(ErrNotRunning, op,
			"its status has "+failure.Quote(status.ContainerID)+" for a container ID", "run this again in a moment")
	}
	return container(pod, spec, status.ContainerID, status.RestartCount), nil
}

// container is a container of a pod, by its place in the specification.
func container(pod *corev1.Pod, spec *corev1.Container, id string, restarts int32) Container {
	return Container{
		Namespace: pod.Namespace, Pod: pod.Name, PodUID: string(pod.UID), Workload: madeBy(pod),
		Name: spec.Name, ID: id, Node: pod.Spec.NodeName,
		Image: spec.Image, RestartCount: restarts,
		Declared: declared(pod, spec),
	}
}

// whyNot says why a container does not run, and what to do.
func (r Resolver) whyNot(pod *corev1.Pod, container string, status *corev1.ContainerStatus) (said, remedy string) {
	describe := "see `" + r.kubectl() + " describe pod " + pod.Name + " -n " + pod.Namespace + "`"
	wait := "wait until it runs: `" + r.kubectl() + " wait --for=condition=Ready pod/" + pod.Name + " -n " + pod.Namespace + "`"
	switch pod.Status.Phase {
	case corev1.PodSucceeded, corev1.PodFailed:
		said := "the pod has ended: " + string(pod.Status.Phase)
		if pod.Status.Reason != "" {
			said += ": " + reason(pod.Status.Reason, pod.Status.Message)
		} else if status != nil && status.State.Terminated != nil {
			said += ", " + terminated(status.State.Terminated)
		}
		return said, "filters are read from running processes: name a pod that runs"
	case corev1.PodUnknown:
		return "the pod's phase is Unknown: its node is out of reach", "see `" + r.kubectl() + " get node " + pod.Spec.NodeName + "`"
	}
	if pod.Spec.NodeName == "" {
		said := "the pod is Pending: no node yet"
		for _, c := range pod.Status.Conditions {
			if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
				said = "the pod is Pending: " + reason(c.Reason, c.Message)
			}
		}
		return said, describe
	}
	switch {
	case status == nil:
		return "the pod is " + string(pod.Status.Phase) + ", and the container has no status yet", wait
	case status.State.Terminated != nil:
		return "the container has ended: " + terminated(status.State.Terminated),
			"filters are read from running processes: name a container that runs"
	case status.State.Waiting == nil || status.State.Waiting.Reason == "" || status.State.Waiting.Reason == "ContainerCreating":
		return "the container is being created", wait
	case status.State.Waiting.Reason == "PodInitializing":
		if init := unfinishedInit(pod); init != "" {
			return "the pod is still initializing, at container " + init,
				"wait, or read that one: " + pod.Name + ":" + init
		}
		return "the pod is still initializing", wait
	}
	said = "the container is waiting: " + reason(status.State.Waiting.Reason, status.State.Waiting.Message)
	if last := status.LastTerminationState.Terminated; last != nil {
		said += fmt.Sprintf(" (last time: %s)", terminated(last))
		return said, "see `" + r.kubectl() + " logs --previous " + pod.Name + " -c " + container + " -n " + pod.Namespace + "`"
	}
	return said, describe
}

// unfinishedInit names the init container that a pod is at.
func unfinishedInit(pod *corev1.Pod) string {
	for _, s := range pod.Status.InitContainerStatuses {
		if s.State.Terminated == nil && (s.Started == nil || !*s.Started) || s.State.Running != nil && !s.Ready {
			return s.Name
		}
	}
	return ""
}

func terminated(t *corev1.ContainerStateTerminated) string {
	how := fmt.Sprintf("exit code %d", t.ExitCode)
	if t.Signal != 0 {
		how = fmt.Sprintf("signal %d", t.Signal)
	}
	if t.Reason != "" {
		how = t.Reason + ", " + how
	}
	if !t.FinishedAt.IsZero() {
		how += " at " + t.FinishedAt.UTC().Format("2006-01-02T15:04:05Z")
	}
	return how
}

func reason(reason, message string) string {
	if message == "" {
		return reason
	}
	return reason + ": " + failure.Clip(message)
}

func podName(pod *corev1.Pod) string { return "pod " + pod.Namespace + "/" + pod.Name }
