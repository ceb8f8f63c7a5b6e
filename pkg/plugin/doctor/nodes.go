package doctor

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/internal/failure"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/target"
)

// pageSize is how many nodes are asked for at once.
const pageSize = 500

// nodes returns the nodes to be checked, in order.
func (d *diagnosis) nodes(ctx context.Context) (list []node) {
	if len(d.Nodes) == 0 {
		return d.allNodes(ctx)
	}
	for _, name := range d.Nodes {
		if n, ok := d.named(ctx, name); ok {
			list = append(list, n)
		}
	}
	return list
}

// named returns a node that is named. That the user may not look at nodes keeps
// nobody from trying.
func (d *diagnosis) named(ctx context.Context, name string) (node, bool) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	n, err := d.Client.Core.Nodes().Get(ctx, name, metav1.GetOptions{})
	switch {
	case failure.IsRBAC(err):
		return node{name: name}, true
	case apierrors.IsNotFound(err):
		d.failed(v1alpha1.CheckNode, name, "the cluster has no such node", "see `"+d.kubectl()+" get nodes`")
		return node{}, false
	case err != nil:
		d.unknown(v1alpha1.CheckNode, name, failure.Request{Verb: "get", Resource: "nodes", Kubectl: d.Options.Kubectl}.Of("look at node "+name, err).Error())
		return node{}, false
	}
	if os := system(n); os != linux {
		d.failed(v1alpha1.CheckNode, name, "it runs "+os+", which has no seccomp", "name a node that runs Linux")
		return node{}, false
	}
	if away := target.NotReady(n); away != "" {
		d.failed(v1alpha1.CheckNode, name, away, "see `"+d.kubectl()+" describe node "+name+"`")
		return node{}, false
	}
	d.ok(v1alpha1.CheckNode, name, "it is ready")
	return node{name, n.Status.NodeInfo.ContainerRuntimeVersion}, true
}

// allNodes returns all that are ready and run Linux.
func (d *diagnosis) allNodes(ctx context.Context) (list []node) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	options := metav1.ListOptions{Limit: pageSize}
	others, away := 0, []corev1.Node(nil)
	for {
		page, err := d.Client.Core.Nodes().List(ctx, options)
		switch {
		case failure.IsRBAC(err):
			d.unknown(v1alpha1.CheckNodes, "", "you may not list nodes: name those to be checked")
			return nil
		case err != nil:
			d.unknown(v1alpha1.CheckNodes, "", failure.Request{Verb: "list", Resource: "nodes", Kubectl: d.Options.Kubectl}.Of("list nodes", err).Error())
			return nil
		}
		for i := range page.Items {
			switch n := &page.Items[i]; {
			case system(n) != linux:
				others++
			case target.NotReady(n) != "":
				away = append(away, *n)
			default:
				list = append(list, node{n.Name, n.Status.NodeInfo.ContainerRuntimeVersion})
			}
		}
		if options.Continue = page.Continue; options.Continue == "" {
			break
		}
	}
	said := fmt.Sprintf("%d run Linux and are ready", len(list))
	if others > 0 {
		said += fmt.Sprintf(", %d run something else and have no seccomp", others)
	}
	if len(list) == 0 {
		d.failed(v1alpha1.CheckNodes, "", said, "see `"+d.kubectl()+" get nodes`")
	} else {
		d.ok(v1alpha1.CheckNodes, "", said)
	}
	for i := range away {
		d.warning(v1alpha1.CheckNode, away[i].Name, "left out: "+target.NotReady(&away[i]), "see `"+d.kubectl()+" describe node "+away[i].Name+"`")
	}
	return list
}

const linux = "linux"

// system is a node's operating system.
func system(n *corev1.Node) string {
	if os := n.Status.NodeInfo.OperatingSystem; os != "" {
		return os
	}
	return linux // kubelet has not reported: then it is not ready
}
