package probepod

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

const override = `
# What a cluster may ask for.
apiVersion: v1
kind: Pod
metadata:
  labels: {team: platform}
  annotations: {sidecar.istio.io/inject: "false"}
spec:
  tolerations: [{key: dedicated, operator: Exists}]
  nodeSelector: {kubernetes.io/os: linux}
  runtimeClassName: runc
  securityContext:
    seLinuxOptions: {type: super_t}
  containers:
  - name: probe
    resources:
      requests: {cpu: 10m}
      limits: {memory: 128Mi, cpu: "1"}
    securityContext:
      appArmorProfile: {type: Localhost, localhostProfile: probe}
  - name: reference-0
    resources: {requests: {cpu: null}}
`

func TestOverride(t *testing.T) {
	o, err := ParseOverride([]byte(override))
	if err != nil {
		t.Fatal(err)
	}
	for name, request := range map[string]Request{
		"plain":          {Node: "node-a"},
		"with reference": {Node: "node-a", References: make([]Reference, 2)},
	} {
		before := New(request, Options{Image: "probe"}, "seccomp-probe-node-a-abcde", earlierRun)
		pod, err := o.apply(before)
		if err != nil {
			t.Fatal(err)
		}
		probe := pod.Spec.Containers[len(pod.Spec.Containers)-1]
		for what, ok := range map[string]bool{
			"labels":            pod.Labels["team"] == "platform" && pod.Labels[LabelInstance] == earlierRun,
			"annotations":       pod.Annotations["sidecar.istio.io/inject"] == "false" && pod.Annotations[AnnotationTargets] == before.Annotations[AnnotationTargets],
			"tolerations":       len(pod.Spec.Tolerations) == 1 && pod.Spec.Tolerations[0].Key == "dedicated",
			"node selector":     pod.Spec.NodeSelector["kubernetes.io/os"] == "linux",
			"runtime class":     *pod.Spec.RuntimeClassName == "runc",
			"the pod's SELinux": pod.Spec.SecurityContext.SELinuxOptions.Type == "super_t",
			"still unconfined":  pod.Spec.SecurityContext.SeccompProfile.Type == corev1.SeccompProfileTypeUnconfined,
			"AppArmor":          *probe.SecurityContext.AppArmorProfile.LocalhostProfile == "probe" && *probe.SecurityContext.Privileged,
			"requests":          probe.Resources.Requests.Cpu().Equal(resource.MustParse("10m")) && probe.Resources.Requests.Memory().Equal(resource.MustParse("64Mi")),
			"limits":            probe.Resources.Limits.Memory().Equal(resource.MustParse("128Mi")),
			"containers":        len(pod.Spec.Containers) == len(before.Spec.Containers) && probe.Image == "probe",
			"reference":         len(request.References) == 0 || pod.Spec.Containers[0].Resources.Requests.Cpu().IsZero() && !pod.Spec.Containers[1].Resources.Requests.Cpu().IsZero(),
		} {
			if !ok {
				t.Errorf("%s: %s: %+v", name, what, pod)
			}
		}
		if before.Labels["team"] != "" || len(before.Spec.Tolerations) != 1 || before.Spec.Tolerations[0].Key != "" {
			t.Errorf("%s: the pod before was changed", name)
		}
	}
}

// TestOverrideRefused has what must not be another, by the name of the field, and
// what is no part of a Pod.
func TestOverrideRefused(t *testing.T) {
	for text, want := range map[string]string{
		"metadata: {name: web}":                                                    "metadata.name cannot be overridden",
		"metadata: {namespace: shop}":                                              "metadata.namespace cannot be overridden: see --probe-namespace",
		"metadata: {ownerReferences: []}":                                          "metadata.ownerReferences",
		"metadata: {finalizers: [a/b]}":                                            "metadata.finalizers",
		"metadata: {labels: {app.kubernetes.io/instance: x}}":                      "metadata.labels[app.kubernetes.io/instance] cannot be overridden",
		"metadata: {labels: {app.kubernetes.io/name: null}}":                       "metadata.labels[app.kubernetes.io/name]",
		"metadata: {labels: null}":                                                 "metadata.labels: want an object",
		"metadata: {annotations: {seccomp.kubectl.dev/x: y}}":                      "metadata.annotations[seccomp.kubectl.dev/x]",
		"metadata: {annotations: {$patch: replace, a: b}}":                         "metadata.annotations[$patch] cannot be overridden",
		"metadata: {annotations: {$patch: delete}}":                                "metadata.annotations[$patch]",
		"metadata: {annotations: {$retainKeys: [a], a: b}}":                        "metadata.annotations[$retainKeys]",
		"metadata: {labels: {$patch: replace}}":                                    "metadata.labels[$patch]",
		"metadata: {$patch: replace}":                                              "metadata.$patch",
		"metadata: {$retainKeys: [labels]}":                                        "metadata.$retainKeys",
		"metadata: null":                                                           "metadata: want an object",
		"status: {phase: Failed}":                                                  "status cannot be overridden",
		"spec: null":                                                               "spec: want an object",
		"spec: {nodeName: node-b}":                                                 "spec.nodeName cannot be overridden: it is the node of the targets",
		"spec: {hostPID: false}":                                                   "spec.hostPID",
		"spec: {hostNetwork: true}":                                                "spec.hostNetwork",
		"spec: {hostIPC: true}":                                                    "spec.hostIPC",
		"spec: {restartPolicy: Always}":                                            "spec.restartPolicy",
		"spec: {activeDeadlineSeconds: 9999}":                                      "spec.activeDeadlineSeconds cannot be overridden: see --timeout",
		"spec: {automountServiceAccountToken: true}":                               "spec.automountServiceAccountToken",
		"spec: {serviceAccountName: root}":                                         "see --service-account",
		"spec: {volumes: []}":                                                      "spec.volumes",
		"spec: {initContainers: [{name: x}]}":                                      "spec.initContainers",
		"spec: {tolerationz: []}":                                                  "spec.tolerationz",
		"spec: {$patch: replace}":                                                  "spec.$patch",
		"spec: {securityContext: {seccompProfile: null}}":                          "spec.securityContext.seccompProfile cannot be overridden: the kernel",
		"spec: {containers: null}":                                                 "spec.containers: want a list",
		"spec: {containers: [{}]}":                                                 "a container without a name",
		"spec: {containers: [probe]}":                                              "a container without a name",
		"spec: {containers: [{name: side, image: x}]}":                             "spec.containers[side]: there is no such container",
		"spec: {containers: [{name: probe, $patch: delete}]}":                      "spec.containers[probe].$patch",
		"spec: {containers: [{name: probe, image: x}]}":                            "spec.containers[probe].image cannot be overridden: see --image",
		"spec: {containers: [{name: probe, args: []}]}":                            "spec.containers[probe].args",
		"spec: {containers: [{name: probe, command: [sh]}]}":                       "spec.containers[probe].command",
		"spec: {containers: [{name: probe, env: []}]}":                             "spec.containers[probe].env",
		"spec: {containers: [{name: probe}, {name: probe}]}":                       "spec.containers[probe] is there twice",
		"spec: {containers: [{name: reference-0, image: x}]}":                      "spec.containers[reference-0].image",
		"spec: {containers: [{name: reference-0, securityContext: {}}]}":           "spec.containers[reference-0].securityContext",
		"spec: {containers: [{name: probe, securityContext: {privileged: true}}]}": "spec.containers[probe].securityContext.privileged",
		"spec: {containers: [{name: probe, resources: {request: {cpu: 1}}}]}":      `unknown field "request"`,
		"spec: {containers: [{name: probe, resources: {requests: {cpu: much}}}]}":  "quantities must match",
		"spec: {tolerations: [{key: a, efect: NoSchedule}]}":                       `unknown field "efect"`,
		"spec: {tolerations: yes}":                                                 "tolerations",
		"metadata: {labels: {a: b, a: c}}":                                         `"a"`,
		"apiVersion: apps/v1":                                                      "apiVersion apps/v1: want v1",
		"kind: Deployment":                                                         "kind Deployment: want Pod",
		"":                                                                         "empty",
		"# nothing\n":                                                              "empty",
		"[]":                                                                       "cannot unmarshal",
		"a: [":                                                                     "yaml",
		"spec: {nodeSelector: {a: b}}\n---\nspec: {hostPID: false}\n":              "more than one document",
	} {
		if _, err := ParseOverride([]byte(text)); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want one line that says %q", text, err, want)
		}
	}
	if _, err := ParseOverride([]byte("# ours\n---\nspec: {nodeSelector: {a: b}}\n---\n# no more\n")); err != nil {
		t.Error(err)
	}
	// JSON is YAML.
	if _, err := ParseOverride([]byte(`{"spec":{"nodeSelector":{"a":"b"}}}`)); err != nil {
		t.Error(err)
	}
}

func FuzzParseOverride(f *testing.F) {
	f.Add([]byte(override))
	f.Add([]byte("spec: {containers: [{name: probe, resources: null}]}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		o, err := ParseOverride(text)
		if err != nil {
			return
		}
		pod := New(Request{Node: "node-a"}, Options{Image: "probe"}, "seccomp-probe-node-a-abcde", earlierRun)
		merged, err := o.apply(pod)
		if err != nil {
			t.Fatal(err)
		}
		// Whatever it says, what makes a probe is as it was.
		a, b := pod.Spec, merged.Spec
		if !made(merged) || merged.Annotations[AnnotationTargets] != pod.Annotations[AnnotationTargets] || a.NodeName != b.NodeName || *a.ActiveDeadlineSeconds != *b.ActiveDeadlineSeconds || *b.AutomountServiceAccountToken ||
			b.HostNetwork || len(b.Volumes) > 0 || len(b.Containers) != 1 || b.Containers[0].Image != "probe" || !*b.Containers[0].SecurityContext.Privileged {
			t.Errorf("%q makes %+v", text, b)
		}
	})
}
