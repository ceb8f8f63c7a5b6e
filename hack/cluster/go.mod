module github.com/kubectl-seccomp/kubectl-seccomp/hack/cluster

go 1.26.0

require golang.org/x/sys v0.46.0
