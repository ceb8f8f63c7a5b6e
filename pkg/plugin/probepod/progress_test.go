package probepod

import (
	"net/http"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// heard is progress, and closes a channel when there is a line.
type heard struct {
	strings.Builder
	line string
	ch   chan struct{}
}

func (h *heard) Write(p []byte) (int, error) {
	if string(p) == h.line+"\n" {
		close(h.ch)
	}
	return h.Builder.Write(p)
}

// TestProgressOfNodes has three nodes of which one answers at once, one after more than
// the time for which a run says nothing, and one when that was told of.
func TestProgressOfNodes(t *testing.T) {
	progress := &heard{line: "2 of 3 nodes", ch: make(chan struct{})}
	late := time.Now().Add(quiet + 100*time.Millisecond)
	s := newAPIServer(t)
	s.onLog = func(w http.ResponseWriter, r *http.Request) bool {
		s.mu.Lock()
		pod := s.pods[r.PathValue("name")]
		s.mu.Unlock()
		if pod == nil {
			return refuse(w, http.StatusNotFound, metav1.StatusReasonNotFound, "it is gone")
		}
		var until <-chan struct{}
		switch pod.Spec.NodeName {
		case "node-b":
			ch := make(chan struct{})
			defer time.AfterFunc(time.Until(late), func() { close(ch) }).Stop()
			until = ch
		case "node-c":
			until = progress.ch
		}
		if until != nil {
			select {
			case <-until:
			case <-r.Context().Done():
				return true
			}
		}
		out := wire.NewWriter(w, pod.Labels[LabelInstance])
		out.Write(&wire.Hello{Version: "test", Arch: "amd64", ABIs: []string{"amd64"}})
		out.Write(&wire.Self{Cgroup: 2})
		out.End()
		return true
	}
	var requests []Request
	for _, node := range []string{"node-a", "node-b", "node-c"} {
		requests = append(requests, Request{Node: node, Self: true})
	}
	reports, err := Run(t.Context(), s.client(), Options{Timeout: 10 * time.Second}, requests, progress)
	if err != nil || len(reports) != 3 || strings.Count(progress.String(), " of 3 nodes\n") != 1 {
		t.Errorf("%d reports, %v, progress %q", len(reports), err, progress)
	}
}
