package plugin

import (
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/capability"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/complete"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// completeFlags registers the values of flags, unless the command has done so.
func completeFlags(cmd *cobra.Command, flags *pflag.FlagSet, values map[string]func(word string) []string) {
	flags.VisitAll(func(flag *pflag.Flag) {
		find := values[flag.Name]
		if _, ok := cmd.GetFlagCompletionFunc(flag.Name); ok || find == nil {
			return
		}
		list := flag.Value.Type() == "stringSlice"
		cmd.RegisterFlagCompletionFunc(flag.Name, func(_ *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
			given := ""
			if i := strings.LastIndexByte(word, ','); list && i >= 0 {
				given, word = word[:i+1], word[i+1:]
			}
			var words []string
			for _, v := range find(word) {
				if strings.HasPrefix(v, word) {
					words = append(words, given+v)
				}
			}
			return words, cobra.ShellCompDirectiveNoFileComp
		})
	})
}

// flagValues are what flags can be, by name. Others have values without names, or
// files.
func (c *common) flagValues(cluster complete.Cluster) map[string]func(word string) []string {
	fixed := func(values ...string) func(string) []string { return func(string) []string { return values } }
	names := func(resource schema.GroupVersionResource) func(string) []string {
		return func(word string) []string { return cluster.Names(resource, "", word) }
	}
	var abis []string
	for _, abi := range syscalls.ABIs() {
		abis = append(abis, abi.String())
	}
	capabilities := append(capability.All.Names(), "ALL")
	none := fixed()
	return map[string]func(string) []string{
		"abi":               fixed(abis...),
		"arch":              fixed(architectures...),
		"as":                none,
		"as-group":          none,
		"as-uid":            none,
		"as-user-extra":     none,
		"cap-add":           fixed(capabilities...),
		"cap-drop":          fixed(capabilities...),
		"cluster":           c.configured(func(f *api.Config) []string { return slices.Sorted(maps.Keys(f.Clusters)) }),
		"color":             fixed("auto", "always", "never"),
		"context":           c.configured(func(f *api.Config) []string { return slices.Sorted(maps.Keys(f.Contexts)) }),
		"dry-run":           fixed("none", "client"),
		"field-selector":    fixed("metadata.name=", "spec.nodeName=", "status.phase="),
		"image":             none,
		"image-pull-policy": fixed(string(corev1.PullAlways), string(corev1.PullIfNotPresent), string(corev1.PullNever)),
		"image-pull-secret": none,
		"kernel":            none,
		"namespace":         names(complete.Namespaces),
		"node":              names(complete.Nodes),
		"oci-runtime":       fixed(slices.Sorted(maps.Keys(ociRuntimes))...),
		"priority-class":    names(complete.PriorityClasses),
		"probe-namespace":   names(complete.Namespaces),
		"request-timeout":   none,
		"runtime":           fixed(slices.Sorted(maps.Keys(runtimes))...),
		"selector":          none,
		"service-account":   none,
		"server":            none,
		"syscall":           func(word string) []string { return syscallNames(syscalls.ABIs(), word) },
		"timeout":           none,
		"duration":          none,
		"tls-server-name":   none,
		"token":             none,
		"user":              c.configured(func(f *api.Config) []string { return slices.Sorted(maps.Keys(f.AuthInfos)) }),
		"view":              fixed(viewWritten, v1alpha1.ViewKernel),
	}
}

// architectures are those of Linux nodes, as Go names them.
var architectures = []string{"amd64", "arm64", "386", "arm", "ppc64le", "s390x", "riscv64", "loong64", "mips64le", "mips64", "mipsle", "mips", "ppc64", "ppc"}

// configured completes names of a kubeconfig.
func (c *common) configured(names func(*api.Config) []string) func(string) []string {
	return func(string) []string {
		config, err := c.config.ToRawKubeConfigLoader().RawConfig()
		if err != nil {
			return nil
		}
		return names(&config)
	}
}
