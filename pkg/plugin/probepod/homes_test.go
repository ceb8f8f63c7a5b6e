package probepod

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

// homes is the part of apiServer with namespaces that runs make, and with what else
// than pods there can be in them.
type homes struct {
	onCreateHome, onDeleteHome func(http.ResponseWriter, *http.Request) bool

	mu         sync.Mutex
	namespaces map[string]*corev1.Namespace
	configMaps map[string][]metav1.ObjectMeta // by namespace
	noSecrets  bool                           // the user may not list them
	deleted    []string
}

func newHomes() *homes {
	return &homes{namespaces: make(map[string]*corev1.Namespace), configMaps: make(map[string][]metav1.ObjectMeta)}
}

func (h *homes) handle(mux *http.ServeMux) {
	mux.HandleFunc("POST /api/v1/namespaces", func(w http.ResponseWriter, r *http.Request) {
		if h.onCreateHome != nil && h.onCreateHome(w, r) {
			return
		}
		answer(w, h.store(r))
	})
	mux.HandleFunc("GET /api/v1/namespaces", func(w http.ResponseWriter, r *http.Request) {
		selector, _ := labels.Parse(r.URL.Query().Get("labelSelector"))
		list := corev1.NamespaceList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "NamespaceList"}}
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, name := range slices.Sorted(maps.Keys(h.namespaces)) {
			if ns := h.namespaces[name]; selector.Matches(labels.Set(ns.Labels)) {
				list.Items = append(list.Items, *ns)
			}
		}
		answer(w, list)
	})
	mux.HandleFunc("DELETE /api/v1/namespaces/{ns}", h.delete)

	// Discovery, and what it tells of beside pods.
	mux.HandleFunc("GET /api", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"}})
	})
	mux.HandleFunc("GET /apis", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, metav1.APIGroupList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "APIGroupList"}})
	})
	all := metav1.Verbs{"create", "delete", "get", "list"}
	mux.HandleFunc("GET /api/v1", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, metav1.APIResourceList{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "APIResourceList"}, GroupVersion: "v1",
			APIResources: []metav1.APIResource{
				{Name: "pods", Namespaced: true, Kind: "Pod", Verbs: all},
				{Name: "pods/log", Namespaced: true, Kind: "Pod", Verbs: metav1.Verbs{"get"}},
				{Name: "bindings", Namespaced: true, Kind: "Binding", Verbs: metav1.Verbs{"create"}},
				{Name: "nodes", Kind: "Node", Verbs: all},
				{Name: "events", Namespaced: true, Kind: "Event", Verbs: all},
				{Name: "configmaps", Namespaced: true, Kind: "ConfigMap", Verbs: all},
				{Name: "secrets", Namespaced: true, Kind: "Secret", Verbs: all},
			},
		})
	})
	mux.HandleFunc("GET /api/v1/namespaces/{ns}/configmaps", func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		defer h.mu.Unlock()
		answer(w, objects(append(h.configMaps[r.PathValue("ns")], metav1.ObjectMeta{Name: "kube-root-ca.crt"})))
	})
	mux.HandleFunc("GET /api/v1/namespaces/{ns}/secrets", func(w http.ResponseWriter, r *http.Request) {
		if h.noSecrets {
			refuse(w, 403, metav1.StatusReasonForbidden, `secrets is forbidden: User "jane" cannot list resource "secrets"`)
			return
		}
		answer(w, objects(nil))
	})
}

// objects is a list of objects of whatever kind.
func objects(of []metav1.ObjectMeta) metav1.PartialObjectMetadataList {
	list := metav1.PartialObjectMetadataList{TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadataList"}}
	for _, meta := range of {
		list.Items = append(list.Items, metav1.PartialObjectMetadata{ObjectMeta: meta})
	}
	return list
}

// store keeps the namespace of a request that creates one.
func (h *homes) store(r *http.Request) *corev1.Namespace {
	ns := new(corev1.Namespace)
	json.NewDecoder(r.Body).Decode(ns)
	ns.UID, ns.CreationTimestamp = types.UID("uid-"+ns.Name), metav1.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.namespaces[ns.Name] = ns
	return ns
}

func (h *homes) get(w http.ResponseWriter, name string) {
	h.mu.Lock()
	ns := h.namespaces[name]
	h.mu.Unlock()
	if ns == nil {
		refuse(w, 404, metav1.StatusReasonNotFound, "namespaces "+name+" not found")
		return
	}
	answer(w, ns)
}

func (h *homes) delete(w http.ResponseWriter, r *http.Request) {
	if h.onDeleteHome != nil && h.onDeleteHome(w, r) {
		return
	}
	var o metav1.DeleteOptions
	json.NewDecoder(r.Body).Decode(&o)
	name := r.PathValue("ns")
	h.mu.Lock()
	defer h.mu.Unlock()
	switch ns := h.namespaces[name]; {
	case ns == nil:
		refuse(w, 404, metav1.StatusReasonNotFound, "namespaces "+name+" not found")
	case o.Preconditions == nil || *o.Preconditions.UID != ns.UID:
		refuse(w, 409, metav1.StatusReasonConflict, "the UID in the precondition does not match")
	default:
		h.deleted = append(h.deleted, name)
		delete(h.namespaces, name)
		answer(w, ns)
	}
}

// homesLeft are the names of the namespaces that are there.
func (h *homes) homesLeft() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Sorted(maps.Keys(h.namespaces))
}
