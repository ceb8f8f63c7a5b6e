package main

import (
	"encoding/json"
	"path/filepath"
)

type object = map[string]any

// kubeconfig is a client configuration with the credentials inside, so that
// the file can be moved. JSON is YAML.
func kubeconfig(ca []byte, user string, pair keyPair) ([]byte, error) {
	const name = "kubectl-seccomp"
	return json.MarshalIndent(object{
		"apiVersion": "v1",
		"kind":       "Config",
		"clusters": []object{{"name": name, "cluster": object{
			"server": apiserverURL, "certificate-authority-data": ca,
		}}},
		"users": []object{{"name": user, "user": object{
			"client-certificate-data": pair.cert, "client-key-data": pair.key,
		}}},
		"contexts":        []object{{"name": name, "context": object{"cluster": name, "user": user}}},
		"current-context": name,
	}, "", "  ")
}

// kubeletConfig is a node's KubeletConfiguration.
func kubeletConfig(l Layout, n Node) ([]byte, error) {
	return json.MarshalIndent(object{
		"apiVersion": "kubelet.config.k8s.io/v1beta1",
		"kind":       "KubeletConfiguration",

		"port":               n.KubeletPort,
		"healthzPort":        n.HealthzPort,
		"healthzBindAddress": "127.0.0.1",
		"tlsCertFile":        l.pki("kubelet-" + n.Name + ".crt"),
		"tlsPrivateKeyFile":  l.pki("kubelet-" + n.Name + ".key"),
		"authentication": object{
			"anonymous": object{"enabled": false},
			"webhook":   object{"enabled": true},
			"x509":      object{"clientCAFile": l.pki("ca.crt")},
		},
		"authorization": object{"mode": "Webhook"},

		"containerRuntimeEndpoint": "unix://" + n.socket(),
		"podLogsDir":               n.podLogs(),
		"maxPods":                  250,
		"clusterDomain":            "cluster.local",
		"clusterDNS":               []string{serviceDNS},
		"resolvConf":               "",
		"seccompDefault":           n.seccompDefault,

		// Pods' cgroups lie below one of the cluster's own, named as on any node
		// from there on (kubepods/…).
		"failCgroupV1":           false,
		"cgroupDriver":           "cgroupfs",
		"cgroupRoot":             "/" + filepath.Join(cgroupName, n.Name),
		"cgroupsPerQOS":          true,
		"enforceNodeAllocatable": []string{"pods"},

		// The machine's swap and fullness are no business of a test.
		"failSwapOn":   false,
		"evictionHard": object{},

		// No service network is set up, so no iptables chains either.
		"makeIPTablesUtilChains": false,
	}, "", "  ")
}

// cniConfig plugs pods into the cluster's bridge, which `up` makes with the
// gateway's address on it: the plugin's isGateway would also turn on
// forwarding for the whole machine. Both nodes allocate from one store.
func cniConfig() ([]byte, error) {
	return json.MarshalIndent(object{
		"cniVersion": "0.4.0",
		"name":       cniNetwork,
		"plugins": []object{{
			"type":      "bridge",
			"bridge":    bridge,
			"isGateway": false,
			"ipMasq":    false,
			"ipam": object{
				"type":    "host-local",
				"dataDir": filepath.Join(runDir, "cni"),
				"ranges":  [][]object{{{"subnet": podCIDR, "gateway": bridgeIP}}},
				"routes":  []object{{"dst": "0.0.0.0/0"}},
			},
		}},
	}, "", "  ")
}

const cniNetwork = "kubectl-seccomp"

// writeConfigs writes every configuration file but the credentials.
func writeConfigs(l Layout) error {
	files := make(map[string][]byte)
	for _, n := range l.Nodes {
		snapshotter, err := snapshotter(n.dir)
		if err != nil {
			return err
		}
		if files[n.containerdConfig()], err = containerdConfig(n, snapshotter); err != nil {
			return err
		}
		if files[n.kubeletConfig()], err = kubeletConfig(l, n); err != nil {
			return err
		}
		if files[filepath.Join(n.cniConfDir(), "10-"+cniNetwork+".conflist")], err = cniConfig(); err != nil {
			return err
		}
	}
	return writeFiles(files, 0o644)
}
