//go:build e2e

package e2e

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
)

// moment is a request of the plugin's that a test waits for.
type moment func(*http.Request) bool

func podRequest(method string, suffix string) moment {
	return func(r *http.Request) bool {
		return r.Method == method && strings.Contains(r.URL.Path, "/pods") && strings.HasSuffix(r.URL.Path, suffix) &&
			r.URL.Query().Get("watch") == ""
	}
}

// The moments of a run, in their order.
var (
	resolving = podRequest("GET", "/pods/a")
	creating  = podRequest("POST", "/pods")
	logging   = podRequest("GET", "/log")
	deleting  = podRequest("DELETE", "")
)

// proxy stands between the plugin and the API server. It is how tests meet a
// run at a certain moment, and how they have an API server go wrong.
type proxy struct {
	*httptest.Server
	kubeconfig string
	// before is called before a request is passed on; false: it is not.
	before func(http.ResponseWriter, *http.Request) bool
	// after is called with the answer before that is passed on.
	after func(*http.Response) error
}

func newProxy(t *testing.T, p *proxy) *proxy {
	t.Helper()
	target, err := url.Parse(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	transport, err := rest.TransportFor(config)
	if err != nil {
		t.Fatal(err)
	}
	reverse := &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:      transport,
		FlushInterval:  -1, // watches and logs
		ModifyResponse: p.after,
		// Requests that the plugin gives up, and an API server that is away.
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { panic(http.ErrAbortHandler) },
	}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.before == nil || p.before(w, r) {
			reverse.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(func() {
		p.CloseClientConnections()
		p.Close()
	})
	p.kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	text := "apiVersion: v1\nkind: Config\ncurrent-context: proxy\n" +
		"clusters: [{name: proxy, cluster: {server: '" + p.URL + "'}}]\n" +
		"contexts: [{name: proxy, context: {cluster: proxy, user: proxy}}]\n" +
		"users: [{name: proxy, user: {}}]\n"
	if err := os.WriteFile(p.kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}
