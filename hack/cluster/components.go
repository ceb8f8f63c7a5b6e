package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Component is one long-running program of the cluster.
type Component struct {
	Name string
	Argv []string
	Env  []string // on top of this command's own
	// Ready returns nil once the component serves, else why not (yet).
	Ready func(context.Context) error
}

// stages returns all components in the order they are started: each stage
// needs the ones before it.
func stages(l Layout) ([3][]Component, error) {
	var st [3][]Component
	api, err := newAPI(l)
	if err != nil {
		return st, err
	}
	st[0] = []Component{etcd(l)}
	st[1] = []Component{kubeAPIServer(l, api)}
	st[2] = []Component{controllerManager(l, api), scheduler(l)}
	for _, n := range l.Nodes {
		st[0] = append(st[0], containerd(n))
		st[2] = append(st[2], kubelet(l, n, api))
	}
	return st, nil
}

// components returns all of them.
func components(l Layout) ([]Component, error) {
	st, err := stages(l)
	return slices.Concat(st[:]...), err
}

func containerd(n Node) Component {
	return Component{
		Name: "containerd-" + n.Name,
		Argv: []string{n.containerdBin, "--config", n.containerdConfig()},
		Env: []string{
			"PATH=" + n.shimPath + ":/usr/sbin:/usr/bin:/sbin:/bin",
			// It mounts images there to read their users, so it must be a place
			// that clean looks at.
			"TMPDIR=" + n.run,
		},
		Ready: func(ctx context.Context) error {
			var d net.Dialer
			conn, err := d.DialContext(ctx, "unix", n.socket())
			if err != nil {
				return err
			}
			return conn.Close()
		},
	}
}

func etcd(l Layout) Component {
	client, peer := loopback("http", etcdPort), loopback("http", etcdPeerPort)
	return Component{
		Name: "etcd",
		Argv: []string{
			l.libexec("etcd"),
			"--data-dir=" + filepath.Join(l.State, "etcd"),
			"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
			"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer,
			"--initial-cluster=default=" + peer,
			"--unsafe-no-fsync", // nothing is kept beyond one run
			"--log-level=warn",
		},
		Ready: httpOK(client + "/health"),
	}
}

func kubeAPIServer(l Layout, api *api) Component {
	return Component{
		Name: "kube-apiserver",
		Argv: []string{
			l.libexec("kube-apiserver"),
			"--etcd-servers=" + loopback("http", etcdPort),
			"--bind-address=127.0.0.1",
			"--secure-port=" + strconv.Itoa(apiserverPort),
			"--advertise-address=127.0.0.1",
			"--endpoint-reconciler-type=none",
			"--service-cluster-ip-range=" + serviceCIDR,
			"--cert-dir=" + l.pki("generated"),
			"--tls-cert-file=" + l.pki("apiserver.crt"),
			"--tls-private-key-file=" + l.pki("apiserver.key"),
			"--client-ca-file=" + l.pki("ca.crt"),
			"--kubelet-certificate-authority=" + l.pki("ca.crt"),
			"--kubelet-client-certificate=" + l.pki("apiserver-kubelet-client.crt"),
			"--kubelet-client-key=" + l.pki("apiserver-kubelet-client.key"),
			"--kubelet-preferred-address-types=InternalIP", // nodes' names do not resolve
			"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
			"--service-account-key-file=" + l.pki("sa.key"),
			"--service-account-signing-key-file=" + l.pki("sa.key"),
			"--authorization-mode=Node,RBAC",
			"--enable-admission-plugins=NodeRestriction,PodSecurity",
			"--allow-privileged=true",
		},
		Ready: func(ctx context.Context) error { return api.get(ctx, "/readyz", nil) },
	}
}

func controllerManager(l Layout, api *api) Component {
	return Component{
		Name: "kube-controller-manager",
		Argv: []string{
			l.libexec("kube-controller-manager"),
			"--kubeconfig=" + l.componentKubeconfig("controller-manager"),
			"--bind-address=127.0.0.1",
			"--secure-port=" + strconv.Itoa(controllerManagerPort),
			"--cert-dir=" + l.pki("generated"),
			"--leader-elect=false",
			"--use-service-account-credentials=true",
			"--root-ca-file=" + l.pki("ca.crt"),
			"--service-account-private-key-file=" + l.pki("sa.key"),
		},
		// Pods are refused before their namespace has its service account.
		Ready: func(ctx context.Context) error {
			if err := httpOK(loopback("https", controllerManagerPort) + "/healthz")(ctx); err != nil {
				return err
			}
			return api.get(ctx, "/api/v1/namespaces/default/serviceaccounts/default", nil)
		},
	}
}

func scheduler(l Layout) Component {
	return Component{
		Name: "kube-scheduler",
		Argv: []string{
			l.libexec("kube-scheduler"),
			"--kubeconfig=" + l.componentKubeconfig("scheduler"),
			"--bind-address=127.0.0.1",
			"--secure-port=" + strconv.Itoa(schedulerPort),
			"--cert-dir=" + l.pki("generated"),
			"--leader-elect=false",
		},
		Ready: httpOK(loopback("https", schedulerPort) + "/healthz"),
	}
}

func kubelet(l Layout, n Node, api *api) Component {
	return Component{
		Name: "kubelet-" + n.Name,
		Argv: []string{
			l.libexec("kubelet"),
			"--config=" + n.kubeletConfig(),
			"--kubeconfig=" + l.componentKubeconfig(n.Name),
			"--root-dir=" + n.kubeletDir(),
			"--cert-dir=" + filepath.Join(n.dir, "pki"),
			"--hostname-override=" + n.Name,
			"--node-ip=" + bridgeIP,
		},
		Ready: func(ctx context.Context) error {
			if err := httpOK(loopback("http", n.HealthzPort) + "/healthz")(ctx); err != nil {
				return err
			}
			return api.nodeReady(ctx, n.Name)
		},
	}
}

func loopback(scheme string, port int) string {
	return fmt.Sprintf("%s://127.0.0.1:%d", scheme, port)
}

// probeClient asks for health only, which is served to anyone; certificates
// that components made for themselves are therefore not checked.
var probeClient = &http.Client{
	Timeout:   2 * time.Second,
	Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
}

func httpOK(url string) func(context.Context) error {
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		return do(probeClient, req, nil)
	}
}

// do sends a request and wants a 2xx answer, whose body it hands to read.
func do(c *http.Client, req *http.Request, read func(io.Reader) error) error {
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		b, _ := io.ReadAll(io.LimitReader(resp.Body, 300))
		return &statusError{code: resp.StatusCode, msg: fmt.Sprintf("%s %s: %s: %s", req.Method, req.URL, resp.Status, strings.TrimSpace(string(b)))}
	}
	if read == nil {
		return nil
	}
	return read(resp.Body)
}

type statusError struct {
	code int
	msg  string
}

func (e *statusError) Error() string { return e.msg }
