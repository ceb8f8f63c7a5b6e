package complete

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
)

// apiServer answers lists of names, page by page as it is asked to, and the pod web.
type apiServer struct {
	names    map[string][]string // by path
	requests []string
}

func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.requests = append(s.requests, r.URL.String())
	w.Header().Set("Content-Type", "application/json")
	if r.URL.Path == "/api/v1/namespaces/shop/pods/web" && s.names != nil {
		json.NewEncoder(w).Encode(corev1.Pod{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: metav1.ObjectMeta{Name: "web"},
			Spec: corev1.PodSpec{InitContainers: []corev1.Container{{Name: "setup"}}, Containers: []corev1.Container{{Name: "nginx"}, {Name: "logs"}}},
		})
		return
	}
	names, ok := s.names[r.URL.Path]
	if !ok {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,"message":"no"}`)
		return
	}
	list := metav1.PartialObjectMetadataList{TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadataList"}}
	from, _ := strconv.Atoi(r.URL.Query().Get("continue"))
	to := len(names)
	if limit, _ := strconv.Atoi(r.URL.Query().Get("limit")); limit > 0 && from+limit < to {
		to = from + limit
		list.Continue = strconv.Itoa(to)
	}
	for _, name := range names[from:to] {
		list.Items = append(list.Items, metav1.PartialObjectMetadata{
			TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadata"}, ObjectMeta: metav1.ObjectMeta{Name: name},
		})
	}
	json.NewEncoder(w).Encode(list)
}

// clusterOf is one with that API server, and the namespace shop.
func clusterOf(t *testing.T, handler http.Handler) Cluster {
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	flags := genericclioptions.NewConfigFlags(false)
	none, namespace := "", "shop"
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, []byte("apiVersion: v1\nkind: Config\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	flags.KubeConfig, flags.CacheDir, flags.APIServer, flags.Namespace = &path, &none, &server.URL, &namespace
	return Cluster{Getter: flags}
}

func shop() *apiServer {
	return &apiServer{names: map[string][]string{
		"/api/v1/namespaces/shop/pods":              {"db-0", "web", "web-2", "web; rm -rf ~", "web\x1b[2J"},
		"/apis/apps/v1/namespaces/shop/deployments": {"web"},
		"/apis/apps/v1/namespaces/prod/deployments": {"api"},
		"/api/v1/nodes":      {"node-a", "node-b"},
		"/api/v1/namespaces": {"prod", "shop"},
	}}
}

func TestSource(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"web.json", "two.bpf"} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir("profiles", 0o700); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		word string
		want string
		open bool
	}{
		{"web", "web web-2", false}, // and nothing that is not a name
		{"d", "db-0 deploy/ ds/ docker:", false},
		{"dep", "deploy/", true},
		{"deploy/", "deploy/web", false},
		{"web:", "web:nginx web:logs web:setup", false},
		{"pod/web:n", "pod/web:nginx", false},
		{"pro", "prod/ profile:", true}, // no pod: a namespace
		{"prod", "prod/", true},
		{"prod/de", "prod/deploy/", true},
		{"prod/deploy/", "prod/deploy/api", false},
		{"prod/sts/", "", false}, // forbidden
		{"node/", "node/node-a: node/node-b:", true},
		{"node/node-a:", "", false},
		{"RuntimeD", "RuntimeDefault", false},
		{"RuntimeDefault@node-b", "RuntimeDefault@node-b", false},
		{"profile:", "profile:profiles/ profile:two.bpf profile:web.json", false},
		{"profile:p", "profile:profiles/", true},
		{"bpf:two.bpf,", "bpf:two.bpf,profiles/ bpf:two.bpf,two.bpf bpf:two.bpf,web.json", false},
		{"pid:1", "", false},
		{"nobody:", "", false},
		{"a/b/c/d", "", false},
	} {
		a := clusterOf(t, shop()).Source(test.word)
		if got := strings.Join(a.Words, " "); got != test.want || a.Open != test.open || a.Files {
			t.Errorf("%q: %+v, want %q, open %v", test.word, a, test.want, test.open)
		}
	}
	for _, word := range []string{"./", "../x", "/etc", "~/x"} {
		if a := clusterOf(t, shop()).Source(word); !a.Files || len(a.Words) > 0 {
			t.Errorf("%q: %+v, want files", word, a)
		}
	}
}

// TestLarge has a namespace with more pods than are asked for at once.
func TestLarge(t *testing.T) {
	var names []string
	for i := range 5000 {
		names = append(names, fmt.Sprintf("a-%04d", i))
	}
	names = append(names, "web")
	s := &apiServer{names: map[string][]string{"/api/v1/namespaces/shop/pods": names}}
	if got := clusterOf(t, s).Pods("shop", "we"); !slices.Equal(got, []string{"web"}) || len(s.requests) != 11 {
		t.Errorf("%q by %d requests", got, len(s.requests))
	}
	s.requests = nil
	if got := clusterOf(t, s).Pods("shop", ""); len(got) != pageSize || len(s.requests) != 1 {
		t.Errorf("%d names by %d requests", len(got), len(s.requests))
	}
	if !strings.Contains(s.requests[0], "limit=500") || !strings.Contains(s.requests[0], "fieldSelector=status.phase") {
		t.Errorf("request %s", s.requests[0])
	}
}

// TestSilent has nobody answer, or refuse.
func TestSilent(t *testing.T) {
	gone := "http://127.0.0.1:1"
	c := clusterOf(t, shop())
	c.Getter.(*genericclioptions.ConfigFlags).APIServer = &gone
	for name, c := range map[string]Cluster{"gone": c, "forbidden": clusterOf(t, &apiServer{})} {
		if got := c.Pods("shop", ""); got != nil {
			t.Errorf("%s: %q", name, got)
		}
		if got := c.Source("web:"); len(got.Words) > 0 {
			t.Errorf("%s: %+v", name, got)
		}
		if got := c.Source("rollout/"); got.Open != true || len(got.Words) == 0 { // taken for a namespace
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestWithin(t *testing.T) {
	stuck := make(chan struct{})
	defer close(stuck)
	got := within(time.Millisecond, func(context.Context) []string {
		<-stuck
		return []string{"late"}
	})
	if got != nil {
		t.Errorf("%q of what never ends", got)
	}
}
