// Kubectl-seccomp is a kubectl plugin that shows what seccomp really enforces on
// a pod.
package main

import (
	"os"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin"
)

func main() {
	os.Exit(plugin.Main(os.Args, genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}))
}
