//go:build e2e

package e2e

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/json"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/probepod"
)

// enforced are the hashes of the filters of a pod's subject, one after the other: the
// truth that runs under odd circumstances are held against.
const enforced = "jsonpath={.states[0].filters}"

func enforcedBy(t *testing.T, pod string, args ...string) string {
	t.Helper()
	r := seccomp(t, append([]string{"dump", pod, "-o", enforced}, args...)...)
	if r.code != 0 || !strings.HasPrefix(r.stdout, "[") {
		t.Fatalf("dump %s %v: exit code %d, stdout %s, stderr %s", pod, args, r.code, r.stdout, r.stderr)
	}
	return r.stdout
}

// same fails the test if a run does not print the truth and nothing else.
func same(t *testing.T, r result, truth string) {
	t.Helper()
	if r.code != 0 || r.stdout != truth {
		t.Errorf("exit code %d, stdout %q, want %q; stderr %s", r.code, r.stdout, truth, r.stderr)
	}
}

// putBack has pods that a test makes a node end created again when it is over, as they
// were: they are not its own.
func putBack(t *testing.T, node string) {
	t.Helper()
	running := metav1.ListOptions{FieldSelector: "spec.nodeName=" + node + ",status.phase=Running"}
	list, err := client.CoreV1().Pods(metav1.NamespaceAll).List(t.Context(), running)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		for _, was := range list.Items {
			tolerant := slices.ContainsFunc(was.Spec.Tolerations, func(t corev1.Toleration) bool {
				return t.Operator == corev1.TolerationOpExists && t.Key == "" && t.Effect == ""
			})
			if tolerant || len(was.OwnerReferences) > 0 || was.DeletionTimestamp != nil {
				continue // of a test or a probe, of a controller, or not for long
			}
			pods := client.CoreV1().Pods(was.Namespace)
			is, err := pods.Get(ctx, was.Name, metav1.GetOptions{})
			if err == nil && is.UID == was.UID && is.DeletionTimestamp == nil && is.Status.Phase == corev1.PodRunning {
				continue
			}
			t.Logf("pod %s/%s was ended, and is created again", was.Namespace, was.Name)
			if err := pods.Delete(ctx, was.Name, *metav1.NewDeleteOptions(0)); err != nil && !apierrors.IsNotFound(err) {
				t.Error(err)
			}
			again := &corev1.Pod{Spec: was.Spec, ObjectMeta: metav1.ObjectMeta{
				Name: was.Name, Labels: was.Labels, Annotations: was.Annotations,
			}}
			if err := poll(ctx, func() error {
				_, err := pods.Create(ctx, again, metav1.CreateOptions{})
				return err
			}); err != nil {
				t.Error(err)
				continue
			}
			if err := poll(ctx, func() error {
				is, err := pods.Get(ctx, was.Name, metav1.GetOptions{})
				if err == nil && is.Status.Phase != corev1.PodRunning {
					err = fmt.Errorf("pod %s/%s is %s", is.Namespace, is.Name, is.Status.Phase)
				}
				return err
			}); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestNodes reads pods on nodes that take no pods.
func TestNodes(t *testing.T) {
	putBack(t, "node-b")
	truth := enforcedBy(t, "b")
	patch := func(text string) {
		t.Helper()
		if _, err := client.CoreV1().Nodes().Patch(context.Background(), "node-b", types.MergePatchType, []byte(text), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for name, how := range map[string]struct{ bad, good string }{
		"cordoned": {`{"spec": {"unschedulable": true}}`, `{"spec": {"unschedulable": null}}`},
		"tainted": {
			`{"spec": {"taints": [{"key": "e2e", "effect": "NoSchedule"}, {"key": "e2e", "effect": "NoExecute"}]}}`,
			`{"spec": {"taints": null}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			patch(how.bad)
			defer patch(how.good)
			same(t, seccomp(t, "dump", "b", "-o", enforced), truth)
			nothingLeft(t, probepod.DefaultNamespace)
		})
	}
}

// TestNoRoom has a node with too little of what the probe asks for: that is an error
// at once, and with a priority that is critical kubelet makes room for it.
func TestNoRoom(t *testing.T) {
	putBack(t, "node-b")
	truth := enforcedBy(t, "b")
	node, err := client.CoreV1().Nodes().Get(t.Context(), "node-b", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	memory := node.Status.Allocatable.Memory().Value()
	// What no other pod asks for here: most of the memory, and then most of it again.
	ask := func(share int64) string {
		file := filepath.Join(t.TempDir(), "override.yaml")
		text := fmt.Sprintf("spec: {containers: [{name: probe, resources: {requests: {memory: %d}, limits: {memory: %d}}}]}", memory*share/100, memory*share/100)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	failed(t, seccomp(t, "dump", "b", "--override", ask(200)), "OutOfmemory", "describe node node-b", "--priority-class")
	filler := pod("filler", "node-b", "sleep")
	filler.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceMemory: *resource.NewQuantity(memory*55/100, resource.BinarySI)}
	launch(t, filler)
	failed(t, seccomp(t, "dump", "b", "--override", ask(50)), "OutOfmemory")
	same(t, seccomp(t, "dump", "b", "-o", enforced, "--override", ask(50), "--priority-class=system-node-critical"), truth)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := poll(ctx, func() error {
		p, err := client.CoreV1().Pods(ns).Get(ctx, filler.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		// https://kubernetes.io/docs/concepts/workloads/pods/disruptions/#pod-disruption-conditions
		for _, c := range p.Status.Conditions {
			if c.Type == corev1.DisruptionTarget && c.Reason == corev1.PodReasonTerminationByKubelet && p.Status.Phase != corev1.PodRunning {
				return nil
			}
		}
		return fmt.Errorf("the pod that was in the way is %s, %+v", p.Status.Phase, p.Status.Conditions)
	}); err != nil {
		t.Error(err)
	}
	nothingLeft(t, probepod.DefaultNamespace)
}

// newNamespace creates a namespace for probe pods.
func newNamespace(t *testing.T, labels map[string]string) string {
	t.Helper()
	made, err := client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "e2e-probes-", Labels: labels}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.CoreV1().Namespaces().Delete(context.Background(), made.Name, metav1.DeleteOptions{}) })
	return made.Name
}

// shell runs a command that the plugin has printed, with the kubectl of the cluster.
func shell(t *testing.T, command string) {
	t.Helper()
	cmd := exec.Command("sh", "-c", command)
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(cluster.Kubectl)+":"+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v: %s", command, err, out)
	}
}

// TestRefused has the cluster refuse the pod in each way that it can: an error that
// says what to do, and nothing created. Where that is a command it is run, and helps.
func TestRefused(t *testing.T) {
	quick := func(t *testing.T, r result) {
		if r.took > 10*time.Second {
			t.Errorf("took %v", r.took)
		}
	}
	t.Run("Pod Security", func(t *testing.T) {
		for _, level := range []string{"baseline", "restricted"} {
			ns := newNamespace(t, map[string]string{"pod-security.kubernetes.io/enforce": level})
			var created sync.Map
			p := newProxy(t, &proxy{before: func(_ http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPost && r.URL.Query().Get("dryRun") == "" {
					created.Store(r.URL.Path, true)
				}
				return true
			}})
			r := begin(t, p.kubeconfig, "dump", "a", "--probe-namespace", ns).wait()
			failed(t, r, "violates PodSecurity", "--create-namespace")
			quick(t, r)
			created.Range(func(path, _ any) bool { t.Errorf("created: %v", path); return true })
			command := regexp.MustCompile("`(kubectl[^`]* label [^`]*)`").FindStringSubmatch(seccomp(t, "dump", "a", "--probe-namespace", ns).stderr)
			if command == nil {
				t.Fatalf("no command: %s", r.stderr)
			}
			shell(t, command[1])
			same(t, seccomp(t, "dump", "a", "-o", enforced, "--probe-namespace", ns), enforcedBy(t, "a"))
		}
	})
	t.Run("namespace", func(t *testing.T) {
		failed(t, seccomp(t, "dump", "a", "--probe-namespace", "e2e-no-such"), "there is no such namespace", "create namespace e2e-no-such")
	})
	t.Run("service account", func(t *testing.T) {
		failed(t, seccomp(t, "dump", "a", "--service-account", "nosuch"), `"nosuch" not found`, "get serviceaccounts -n kube-system")
	})
	t.Run("priority class", func(t *testing.T) {
		failed(t, seccomp(t, "dump", "a", "--priority-class", "nosuch"), "no PriorityClass with name nosuch", "get priorityclasses")
	})
	t.Run("quota", func(t *testing.T) {
		ns := newNamespace(t, nil)
		quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "none"}, Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")}}}
		if _, err := client.CoreV1().ResourceQuotas(ns).Create(t.Context(), quota, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := poll(t.Context(), func() error {
			q, err := client.CoreV1().ResourceQuotas(ns).Get(t.Context(), "none", metav1.GetOptions{})
			if err == nil && q.Status.Hard == nil {
				err = errors.New("the quota is not in force")
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		r := seccomp(t, "dump", "a", "--probe-namespace", ns)
		failed(t, r, "exceeded quota", "describe quota -n "+ns)
		quick(t, r)
	})
	t.Run("webhook", func(t *testing.T) {
		ns := newNamespace(t, nil)
		asked := webhook(t, ns, func(*corev1.Pod) (any, string) { return nil, "hostPID is not for you" })
		failed(t, seccomp(t, "dump", "a", "--probe-namespace", ns), "hostPID is not for you", "a policy of the cluster refuses the pod")
		if n := asked.Load(); n != 1 {
			t.Errorf("the webhook was asked about %d probe pods", n)
		}
	})
	nothingLeft(t, metav1.NamespaceAll)
}

// webhook has the API server ask this process about pods that are created in a
// namespace. review returns a JSON patch, or why the pod is refused. What is returned
// counts the probe pods that were to be created, and not only tried.
func webhook(t *testing.T, namespace string, review func(*corev1.Pod) (patch any, refusal string)) *atomic.Int32 {
	t.Helper()
	probes := new(atomic.Int32)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked admissionv1.AdmissionReview
		var pod corev1.Pod
		text, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(text, &asked)
		}
		if err == nil {
			err = json.Unmarshal(asked.Request.Object.Raw, &pod)
		}
		if err != nil {
			t.Error(err)
			return
		}
		if dry := asked.Request.DryRun; pod.Labels[probepod.LabelName] == probepod.Name && (dry == nil || !*dry) {
			probes.Add(1)
		}
		patch, refusal := review(&pod)
		answer := &admissionv1.AdmissionResponse{UID: asked.Request.UID, Allowed: refusal == ""}
		if refusal != "" {
			answer.Result = &metav1.Status{Message: refusal}
		}
		if patch != nil {
			answer.PatchType = new(admissionv1.PatchTypeJSONPatch)
			if answer.Patch, err = json.Marshal(patch); err != nil {
				t.Error(err)
			}
		}
		asked.Request, asked.Response = nil, answer
		text, _ = json.Marshal(asked)
		w.Header().Set("Content-Type", "application/json")
		w.Write(text)
	}))
	t.Cleanup(server.Close)
	hooks := client.AdmissionregistrationV1().MutatingWebhookConfigurations()
	made, err := hooks.Create(t.Context(), &admissionregv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "e2e-"},
		Webhooks: []admissionregv1.MutatingWebhook{{
			Name: "pods.e2e.example.com", AdmissionReviewVersions: []string{"v1"},
			SideEffects: new(admissionregv1.SideEffectClassNone),
			ClientConfig: admissionregv1.WebhookClientConfig{
				URL:      &server.URL,
				CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
			},
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}},
			Rules: []admissionregv1.RuleWithOperations{{
				Operations: []admissionregv1.OperationType{admissionregv1.Create},
				Rule:       admissionregv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
			}},
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { hooks.Delete(context.Background(), made.Name, metav1.DeleteOptions{}) })
	// The API server takes its time to hear of it.
	tried := pod("tried", "node-a", "sleep")
	tried.Spec.ServiceAccountName = ""
	if err := poll(t.Context(), func() error {
		created, err := client.CoreV1().Pods(namespace).Create(t.Context(), tried, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil && len(created.Labels) == len(tried.Labels) && len(created.Spec.Containers) == 1 {
			return errors.New("the webhook is not asked")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return probes
}

// TestWebhooks has webhooks change the pod as meshes and policies do: the answer is
// the same, and what they made of it is known for ours.
func TestWebhooks(t *testing.T) {
	truth := enforcedBy(t, "a")
	type op map[string]any
	for name, patch := range map[string][]op{
		"sidecar": {{"op": "add", "path": "/spec/containers/0", "value": op{
			"name": "mesh", "image": workload, "imagePullPolicy": "Never", "args": []string{"sleep"},
		}}},
		"metadata": {
			{"op": "add", "path": "/metadata/labels/e2e", "value": "x"},
			{"op": "add", "path": "/metadata/annotations", "value": op{"e2e": "in place of all others"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			ns := newNamespace(t, nil)
			asked := webhook(t, ns, func(*corev1.Pod) (any, string) { return patch, "" })
			same(t, seccomp(t, "dump", "a", "-o", enforced, "--probe-namespace", ns), truth)
			if n := asked.Load(); n != 1 {
				t.Errorf("the webhook was asked about %d probe pods", n)
			}
			pods := func() []corev1.Pod {
				list, err := client.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
				if err != nil {
					t.Fatal(err)
				}
				return list.Items
			}
			if left := pods(); len(left) > 0 {
				t.Errorf("%d pods are left", len(left))
			}
			// A client that is killed leaves one with all of that.
			killAt(t, logging, "dump", "a", "--probe-namespace", ns)
			if left := pods(); len(left) != 1 {
				t.Fatalf("%d pods are left by a client that was killed", len(left))
			}
			if r := seccompCleanup(t, "--probe-namespace", ns, "--all"); r.code != 0 || len(pods()) > 0 {
				t.Errorf("cleanup: exit code %d, %d pods are left; %s", r.code, len(pods()), r.stderr)
			}
			nothingLeft(t, ns)
		})
	}
}

// killAt runs the plugin and kills it at a moment.
func killAt(t *testing.T, at moment, args ...string) {
	t.Helper()
	begun := make(chan *process, 1)
	var once sync.Once
	p := newProxy(t, &proxy{before: func(_ http.ResponseWriter, r *http.Request) bool {
		if at(r) {
			once.Do(func() {
				run := <-begun
				run.signal(t, syscall.SIGKILL)
				begun <- run
			})
		}
		return true
	}})
	run := begin(t, p.kubeconfig, args...)
	begun <- run
	if r := run.wait(); r.code != -1 {
		t.Fatalf("exit code %d, want the end by a signal; stderr %s", r.code, r.stderr)
	}
}

// seccompCleanup runs `cleanup`, which has no target's namespace.
func seccompCleanup(t *testing.T, args ...string) result {
	t.Helper()
	return everywhere(t, append([]string{"cleanup"}, args...)...)
}

// homes returns the namespaces that runs have made and that are there for good.
func homes(t *testing.T) (names []string) {
	t.Helper()
	list, err := client.CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{LabelSelector: probepod.Selector})
	if err != nil {
		t.Fatal(err)
	}
	for _, ns := range list.Items {
		if ns.DeletionTimestamp == nil {
			names = append(names, ns.Name)
		}
	}
	return names
}

// TestCreateNamespace has a run make its namespace, and one that is killed.
func TestCreateNamespace(t *testing.T) {
	truth := enforcedBy(t, "a")
	before := strings.Join(homes(t), " ")
	var made string
	p := newProxy(t, &proxy{before: func(_ http.ResponseWriter, r *http.Request) bool {
		if creating(r) {
			made = strings.Split(r.URL.Path, "/")[4]
		}
		return true
	}})
	same(t, begin(t, p.kubeconfig, "dump", "a", "-o", enforced, "--create-namespace").wait(), truth)
	if now := strings.Join(homes(t), " "); now != before || !strings.HasPrefix(made, "seccomp-probe-") {
		t.Errorf("the pod was in namespace %q; namespaces %q are left, were %q", made, now, before)
	}
	gone := func(name string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := poll(ctx, func() error {
			_, err := client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				return nil
			}
			return fmt.Errorf("namespace %s: %v", name, err)
		}); err != nil {
			t.Error(err)
		}
	}
	gone(made)

	killAt(t, logging, "dump", "a", "--create-namespace")
	left := homes(t)
	if len(left) != 1 {
		t.Fatalf("namespaces %q are left by a client that was killed", left)
	}
	if r := seccompCleanup(t); r.code != 0 || !strings.Contains(r.stderr, "left alone: namespace "+left[0]) {
		t.Errorf("exit code %d, stderr %s", r.code, r.stderr)
	}
	// Somebody puts something into it.
	maps := client.CoreV1().ConfigMaps(left[0])
	if _, err := maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "mine"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if r := seccompCleanup(t, "--all"); r.code != 0 || !strings.Contains(r.stderr, "it holds configmaps/mine") || len(homes(t)) != 1 {
		t.Errorf("exit code %d, stderr %s", r.code, r.stderr)
	}
	if err := maps.Delete(t.Context(), "mine", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if r := seccompCleanup(t, "--all"); r.code != 0 || !strings.Contains(r.stdout, "namespace "+left[0]+" deleted") {
		t.Errorf("exit code %d, stdout %s, stderr %s", r.code, r.stdout, r.stderr)
	}
	gone(left[0])
	nothingLeft(t, metav1.NamespaceAll)
}

// TestKeepProbe has a pod kept, by a run that succeeds and by one that does not, and
// deleted by what the run printed.
func TestKeepProbe(t *testing.T) {
	for _, args := range [][]string{{"dump", "a"}, {"dump", "a", "--image=localhost/e2e/none:v1", "--image-pull-policy=Never"}} {
		r := seccomp(t, append(args, "--keep-probe")...)
		if want := map[int]int{2: 0, 4: 2}[len(args)]; r.code != want {
			t.Errorf("%v: exit code %d, want %d; stderr %s", args, r.code, want, r.stderr)
		}
		kept := probes(t, probepod.DefaultNamespace)
		command := regexp.MustCompile("kept: probe pod [^ ]* on node node-a; delete it by `(.*)`").FindStringSubmatch(r.stderr)
		if len(kept) != 1 || command == nil {
			t.Fatalf("%v: %q are there; stderr %s", args, kept, r.stderr)
		}
		if r := seccompCleanup(t); r.code != 0 || !strings.Contains(r.stderr, kept[0]+": it was kept") || len(probes(t, probepod.DefaultNamespace)) != 1 {
			t.Errorf("cleanup: exit code %d, stderr %s", r.code, r.stderr)
		}
		shell(t, command[1])
		nothingLeft(t, probepod.DefaultNamespace)
	}
}
