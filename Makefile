# Two commands do it all on a fresh Debian 12 with Go and root:
#
#	make demo   a local cluster, demo pods, three real diffs, and what verify says
#	make test   every test, those on the local cluster included
#
# The rest are their parts.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.NOTPARALLEL: # one cluster, one kernel, and an order to both
.DEFAULT_GOAL := build

# One set of build settings for everything, so that the build, the tests and vet
# share what is compiled.
export CGO_ENABLED := 0
export GOFLAGS := -trimpath -buildvcs=false

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin.Version=$(VERSION)

# The Go modules with code of ours to vet and test. Those below hack/cluster pin
# what the local cluster is built from; cluster-up builds them.
MODULES := . hack/cluster hack/image

# Debian packages that the tests need: a C compiler, libseccomp as an independent
# compiler of filters, and real runtimes; and for the kernels of other
# architectures, emulators and C compilers.
DEB_PACKAGES := gcc libc6-dev libseccomp-dev runc crun \
	qemu-system-x86 qemu-system-arm qemu-system-misc \
	gcc-aarch64-linux-gnu libc6-dev-arm64-cross gcc-s390x-linux-gnu libc6-dev-s390x-cross

.PHONY: help
help: ## say what there is to make
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

.PHONY: build
build: bin/kubectl-seccomp ## the plugin, into bin/

.PHONY: bin/kubectl-seccomp
bin/kubectl-seccomp:
	go build -ldflags '$(LDFLAGS)' -o $@ ./cmd/kubectl-seccomp

.PHONY: deps
deps: ## the Debian packages that the tests need
	@missing=$$(for p in $(DEB_PACKAGES); do dpkg-query -W -f '$${db:Status-Status}' $$p 2>/dev/null | grep -qx installed || echo $$p; done); \
	if [ -n "$$missing" ]; then \
		apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends $$missing; \
	fi

.PHONY: generate
generate: ## the BPF programs, compiled, and the schema of what is printed
	@missing=$$(for p in clang llvm libbpf-dev; do dpkg-query -W -f '$${db:Status-Status}' $$p 2>/dev/null | grep -qx installed || echo $$p; done); \
	if [ -n "$$missing" ]; then \
		apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends $$missing; \
	fi
	go generate ./pkg/probe/record ./pkg/probe/denials ./pkg/apis/...

.PHONY: image
image: ## the probe's and the workload's images as OCI tarballs, every architecture, into dist/
	go run -C hack/image . --output $(CURDIR)/dist --arch all probe workload

.PHONY: image-native
image-native:
	go run -C hack/image . --output $(CURDIR)/dist/native --arch $(shell go env GOARCH) probe workload

.PHONY: cluster-up
cluster-up: ## a real two-node Kubernetes on this machine
	go run -C hack/cluster . up

.PHONY: cluster-down
cluster-down: ## stop it and leave nothing behind
	go run -C hack/cluster . down

.PHONY: cluster-load
cluster-load: image-native
	go run -C hack/cluster . load $(CURDIR)/dist/native/*.tar

.PHONY: demo
demo: build cluster-up cluster-load ## demo pods, three real diffs, and what verify says
	go run ./hack/demo

.PHONY: lint
lint: ## gofmt and vet, every module
	@unformatted=$$(gofmt -l cmd hack images internal pkg test); \
	if [ -n "$$unformatted" ]; then echo "gofmt: $$unformatted" >&2; exit 1; fi
	for m in $(MODULES); do (cd $$m && go vet ./...); done
	go vet -tags e2e,vm ./test/... ./pkg/...
	go run github.com/rhysd/actionlint/cmd/actionlint@v1.7.12 -shellcheck= -pyflakes= .github/workflows/*.yaml docs/ci/*.yaml
	for os in darwin windows; do GOOS=$$os go build -o /dev/null ./cmd/kubectl-seccomp; done

# One package at a time: tests that stop processes or install filters must not
# meet each other, and the kernel must not be handed filters faster than it
# frees them (internal/kerneltest says why).
.PHONY: test-unit
test-unit: deps
	for m in $(MODULES); do (cd $$m && go test -p 1 -count 1 -timeout 10m ./...); done

.PHONY: test-vm
test-vm: deps ## on emulated machines: amd64 with 32-bit calls, arm64, s390x
	go run ./hack/vm
	go test -tags vm -count 1 -timeout 10m ./test/vm/...

.PHONY: test-e2e
test-e2e: deps build cluster-up cluster-load
	go run ./hack/demo
	go test -tags e2e -count 1 -timeout 45m -v ./test/e2e/...

# Debian's package would start a daemon for the whole machine; policy-rc.d(8) keeps
# it from that. The test runs one of its own.
.PHONY: test-docker
test-docker: deps ## against a Docker daemon of its own
	@if ! command -v dockerd >/dev/null; then \
		policy=/usr/sbin/policy-rc.d; \
		if [ ! -e $$policy ]; then trap "rm -f $$policy" EXIT; printf '#!/bin/sh\nexit 101\n' >$$policy; chmod +x $$policy; fi; \
		apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends docker.io; \
	fi
	go test -tags e2e -count 1 -timeout 5m -v ./test/docker

.PHONY: test
test: lint test-unit test-vm test-docker test-e2e ## every test, those on the local cluster included
	$(MAKE) cluster-down

# POLICY_FILTERS, in the environment, names a folder of raw filters (*.bpf) to be
# measured besides those of the tests; go test ./pkg/policy tries them, too.
.PHONY: bench
bench: deps build cluster-up cluster-load ## speed, side by side with what it is held against
	go test -p 1 -run '^$$' -bench . ./cmd/... ./pkg/...
	go test -tags e2e -run '^$$' -bench . -benchtime 15x ./test/e2e

.PHONY: screenshot
screenshot: build ## the picture in the documentation, from the demo's pods
	PATH=$(CURDIR)/bin:$(CURDIR)/.cluster/bin:$$PATH KUBECONFIG=$(CURDIR)/.cluster/kubeconfig \
		go run ./hack/screenshot --output docs/img/diff.svg kubectl seccomp diff -n demo web-a web-b

# Give the version: make release VERSION=v1.2.3. RELEASE_FLAGS=--dirty for a trial.
.PHONY: release
release: ## archives, images, SBOM, checksums and krew manifest, into dist/VERSION
	go run ./hack/release --version '$(VERSION)' $(RELEASE_FLAGS)

# The second one is built in another folder, from a clone. With COLD=1 it is built from
# nothing, too, as the release workflow does on two machines: that takes as long as all
# of the plugin's modules for all platforms do, hours on a machine of two cores. Then
# krew itself installs each archive that the manifest has.
.PHONY: test-release
test-release: ## that two releases of one commit are the same, run, and are installed by krew
	if ! command -v qemu-aarch64-static >/dev/null; then \
		apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends qemu-user-static; \
	fi
	go run ./hack/release --version v0.0.0-test --output dist/test-release
	dir=$$(mktemp -d); trap 'chmod -R u+w $$dir; rm -rf $$dir' EXIT; \
	git clone -q . $$dir/clone; \
	(cd $$dir/clone && $(if $(COLD),GOCACHE=$$dir/cache )go run ./hack/release --version v0.0.0-test --output ../release); \
	diff -r dist/test-release $$dir/release; \
	GOFLAGS= GOBIN=$$dir go install sigs.k8s.io/krew/cmd/krew@v0.4.3; \
	for archive in $$(grep -o 'kubectl-seccomp_v0.0.0-test_.*' dist/test-release/seccomp.yaml); do \
		machine=$${archive#*_v0.0.0-test_}; machine=$${machine%%.*}; \
		KREW_ROOT=$$dir/$$machine KREW_OS=$${machine%_*} KREW_ARCH=$${machine#*_} KREW_NO_UPGRADE_CHECK=1 \
			$$dir/krew install --manifest dist/test-release/seccomp.yaml --archive dist/test-release/$$archive </dev/null; \
	done

.PHONY: clean
clean:
	rm -rf bin dist
