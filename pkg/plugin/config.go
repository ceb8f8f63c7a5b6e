package plugin

import (
	"errors"
	"os"

	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/internal/failure"
)

// errConfig is a configuration that does not say which cluster is meant, or who asks.
var errConfig = errors.New("configuration")

// unconfigured is what client-go asks where nothing says which cluster is meant.
const unconfigured = "http://localhost:8080"

// restConfig is how to reach the cluster that flags and kubeconfig say.
func (c *common) restConfig() (*rest.Config, error) {
	const op = "read the kubeconfig"
	raw, err := c.config.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return nil, &failure.Error{Kind: errConfig, Op: op, Said: failure.Clip(err.Error()), Err: err,
			Remedy: "see --kubeconfig and the variable KUBECONFIG"}
	}
	config, err := c.config.ToRESTConfig()
	if err != nil {
		// Of the flags that say which cluster is meant one is wrong.
		file := clusterFlags(&genericclioptions.ConfigFlags{KubeConfig: c.config.KubeConfig})
		return nil, &failure.Error{Kind: errConfig, Op: op, Said: failure.Clip(err.Error()), Err: err,
			Remedy: "see `kubectl" + file + " config view`, and --context, --cluster, --user and --request-timeout"}
	}
	if config.Host == unconfigured && *c.config.APIServer == "" && os.Getenv("KUBERNETES_MASTER") == "" && api.IsConfigEmpty(&raw) {
		return nil, failure.New(errConfig, op, "there is none, so nothing says which cluster is meant",
			"name a file by --kubeconfig or the variable KUBECONFIG")
	}
	return config, nil
}
