# `make` or `make help` lists the targets. Everything that is built goes to bin/, which git ignores; tools are built from the versions in
# hack/tools/go.mod. Nothing is built twice: the second run of a target takes seconds.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

VERSION ?= v0.1.0
IMAGE ?= ghcr.io/gin-operator/gin-operator:$(VERSION)
SAMPLEAPP_IMAGE ?= ghcr.io/gin-operator/sampleapp:$(VERSION)
METRICS_ADAPTER_IMAGE ?= ghcr.io/gin-operator/metrics-adapter:$(VERSION)
PLATFORMS ?= linux/amd64,linux/arm64
# More flags for `go test` in `make test` and `make test-e2e`, such as TEST_FLAGS="-run TestPlan -v".
TEST_FLAGS ?=
# How much `make fuzz` does with each target: a number of inputs, or a time such as 5m, at the end of which Go sometimes reports its own deadline as
# a failure.
FUZZ_TIME ?= 20000x
# Flags for `make model`, such as MODEL_FLAGS="-model.changes=2 -model.faults=1".
MODEL_FLAGS ?=
# Flags for `make soak`: how many promotions and rollbacks, for how long at most, and what a switch may do to the p99 latency.
SOAK_FLAGS ?= -soak.promotions=100 -soak.for=3h -soak.max-ratio=1.5
# Flags for `make bench`, such as BENCH_FLAGS="-n 1000"; bin/bench -help lists them.
BENCH_FLAGS ?=
# Flags for `make bench-ginkit`, such as BENCH_GINKIT_FLAGS="-only metrics"; bin/bench-ginkit/bench -help lists them.
BENCH_GINKIT_FLAGS ?=
# Flags for `make bench-adapter`, such as BENCH_ADAPTER_FLAGS="-pods 100"; bin/bench-adapter -help lists them.
BENCH_ADAPTER_FLAGS ?=

BIN := $(CURDIR)/bin
GO_VERSION := $(shell sed -n 's/^go //p' go.mod)
GO_LDFLAGS := -s -w -X main.version=$(VERSION)
# Whatever is compiled for programs, checks and tests is compiled alike, so that Go's cache needs it once: cold, that is most of the time. Only the race
# detector takes another way.
export CGO_ENABLED := 0
export GOFLAGS := $(strip $(filter-out -trimpath,$(shell go env GOFLAGS 2>/dev/null)) -trimpath)
GO_BUILD := go build -ldflags "$(GO_LDFLAGS)"
# What Gin and its validator bring and the sample application has no use for: MessagePack, and a call by name, with which the linker keeps
# every method of every type. Its binary would be 37 MB instead of 23.
SAMPLEAPP_TAGS := -tags nomsgpack,validator_novalidatefn
# The components of hack/cluster are modules of a small file or a few; building them is their check, and linting them would compile
# Kubernetes once more.
LINT_MODULES := . hack/cluster hack/tools test/performance/ginkit
MODULES = $(patsubst %/,%,$(dir $(shell git ls-files --cached --others --exclude-standard 'go.mod' '*/go.mod')))
# The one on the PATH, or else the one that `make k8s` builds.
KUBECTL ?= $(or $(shell command -v kubectl),$(BIN)/k8s/kubectl)

# Binaries from outside win, as envtest has it.
ifeq ($(origin KUBEBUILDER_ASSETS),undefined)
KUBEBUILDER_ASSETS := $(BIN)/k8s
ASSETS := k8s
endif
export KUBEBUILDER_ASSETS

##@ Try it

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: build bin/cluster ## Bring up a real Kubernetes and show autoscaling, a measured upgrade, a rollback and a bad version under load (root)
	hack/demo/run

.PHONY: demo-down
demo-down: cluster-down ## Stop what the demo left running

.PHONY: cluster-up
cluster-up: bin/cluster ## Start the single-node Kubernetes, or repair it (root; the first build takes a while)
	bin/cluster up

.PHONY: cluster-down
cluster-down: bin/cluster ## Stop it and remove all of its data
	bin/cluster down

.PHONY: load-images
load-images: build bin/cluster ## Load the images of the operator, the metrics adapter and the sample application into it
	bin/cluster load-image --image $(IMAGE) --binary bin/manager
	bin/cluster load-image --image $(METRICS_ADAPTER_IMAGE) --binary bin/metrics-adapter
	bin/cluster load-image --image $(SAMPLEAPP_IMAGE) --binary bin/sampleapp

##@ Build

.PHONY: build
build: check-go ## Build the operator, the metrics adapter, the sample application and the load generator into bin/
	$(GO_BUILD) -o bin/manager .
	$(GO_BUILD) -o bin/metrics-adapter ./cmd/metrics-adapter
	$(GO_BUILD) $(SAMPLEAPP_TAGS) -o bin/sampleapp ./sampleapp
	$(GO_BUILD) -o bin/load ./hack/load

.PHONY: build-installer
build-installer: ## Write everything that installs the operator to dist/install.yaml; IMAGE names another image
	@mkdir -p dist
	@image='$(IMAGE)'; case "$${image##*/}" in \
		*@*|*:*) ;; \
		*) echo 'build-installer: IMAGE is '"$$image"': give it a tag, as in '"$$image"':v0.1.0' >&2; exit 2 ;; \
	esac; case "$$image" in \
		*@*) version="digest: \"$${image#*@}\""; image=$${image%@*} ;; \
		*) version="newTag: \"$${image##*:}\""; image=$${image%:*} ;; \
	esac; printf '%s\n' 'resources: [../config/default]' \
		"images: [{name: ghcr.io/gin-operator/gin-operator, newName: \"$$image\", $$version}]" >dist/kustomization.yaml
	$(KUBECTL) kustomize dist >dist/install.yaml

.PHONY: docker-build
docker-build: ## Build the images with Docker
	docker build --build-arg VERSION=$(VERSION) --tag $(IMAGE) .
	docker build --build-arg VERSION=$(VERSION) --tag $(METRICS_ADAPTER_IMAGE) --file cmd/metrics-adapter/Dockerfile .
	docker build --build-arg VERSION=$(VERSION) --tag $(SAMPLEAPP_IMAGE) --file sampleapp/Dockerfile .

.PHONY: docker-buildx
docker-buildx: ## Build the images for PLATFORMS with Docker, and push them
	docker buildx build --platform $(PLATFORMS) --build-arg VERSION=$(VERSION) --tag $(IMAGE) --push .
	docker buildx build --platform $(PLATFORMS) --build-arg VERSION=$(VERSION) --tag $(METRICS_ADAPTER_IMAGE) --file cmd/metrics-adapter/Dockerfile --push .
	docker buildx build --platform $(PLATFORMS) --build-arg VERSION=$(VERSION) --tag $(SAMPLEAPP_IMAGE) --file sampleapp/Dockerfile --push .

##@ Install, into the cluster of the current kubeconfig

.PHONY: install
install: ## Install the CustomResourceDefinition only
	$(KUBECTL) apply -k config/crd

.PHONY: uninstall
uninstall: ## Remove it, and with it every GinService
	$(KUBECTL) delete --ignore-not-found -k config/crd

.PHONY: deploy
deploy: build-installer ## Install the operator; IMAGE names another image
	$(KUBECTL) apply -f dist/install.yaml

.PHONY: undeploy
undeploy: build-installer ## Remove the operator, the CustomResourceDefinition and every GinService
	$(KUBECTL) delete --ignore-not-found -f dist/install.yaml

##@ Check

# The specs of GinServices take longest, and mostly wait: all others run beside them. Go prints results in the order of the packages.
.PHONY: test
test: check-go check-cc $(ASSETS) test-servers ## Run the unit tests, and the integration tests against a real control plane, PostgreSQL, Redis and Prometheus
	@echo 'the first package takes some ten minutes, and the results of the others are printed after its own'
	CGO_ENABLED=1 go test -race -shuffle=on -timeout 30m $(TEST_FLAGS) ./test/integration/ginservice $$(go list ./... | grep -v -e /test/e2e -e /test/integration/ginservice)
	cd hack/cluster && go test -shuffle=on $(TEST_FLAGS) ./...
	cd test/performance/ginkit && go test -shuffle=on $(TEST_FLAGS) ./...

.PHONY: test-servers
test-servers: ## Install the PostgreSQL, the Redis and the Prometheus that tests start, where they are missing (Debian, root)
	@hack/test-servers up

.PHONY: fuzz
fuzz: check-go ## Fuzz each target for FUZZ_TIME; `make test` tries their seeds
	@for package in $$(git grep -l '^func Fuzz' -- '*_test.go' | xargs -n 1 dirname | sort -u); do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' $$package/*_test.go); do \
			echo "$$package: $$target"; go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZ_TIME) ./$$package; \
		done; done

.PHONY: model
model: check-go ## Explore every state of a rollout that two changes, or a change (of settings, too) and a fault, can lead to: MODEL_FLAGS sets other bounds
	@set -e; for bounds in $(if $(MODEL_FLAGS),"$(MODEL_FLAGS)","-model.changes=2" "-model.changes=1 -model.faults=1 -model.settings"); do \
		GOGC=400 go test -count=1 -v -timeout 80m -run '^TestModel$$' ./controllers/rollout $$bounds; done

.PHONY: test-e2e
test-e2e: build bin/cluster ## Run the end-to-end tests on a real node: brings up a cluster of their own and ends it (root)
	go test -v -tags e2e -shuffle=on -timeout 60m $(TEST_FLAGS) ./test/e2e/... -ginkgo.label-filter='!gateway'

.PHONY: test-gateway
test-gateway: build bin/cluster ## Send requests through a Gateway on a real node (root); builds Traefik, ten minutes once
	@bin/cluster build gateway
	go test -v -tags e2e -timeout 30m ./test/e2e/... -ginkgo.label-filter=gateway

.PHONY: soak
soak: build bin/cluster ## Promote and roll back again and again under load on a real node (root); SOAK_FLAGS="-soak.promotions=100"
	go test -v -tags e2e -timeout 13h ./test/e2e/... -ginkgo.label-filter=soak $(SOAK_FLAGS)

.PHONY: bench
bench: build bin/cluster ## Measure the operator; BENCH_FLAGS="-h" lists what can be set, "-cluster" takes your cluster
	@$(if $(filter -cluster --cluster -cluster=true --cluster=true,$(BENCH_FLAGS)),,bin/cluster build control-plane kwok)
	$(GO_BUILD) -o bin/bench ./test/performance
	bin/bench $(BENCH_FLAGS)

.PHONY: bench-ginkit
bench-ginkit: check-go ## Measure ginkit and the sample application beside others; BENCH_GINKIT_FLAGS="-h" lists what can be set
	@mkdir -p bin/bench-ginkit
	cd test/performance/ginkit && $(GO_BUILD) -o $(BIN)/bench-ginkit/bench .
	cd test/performance/ginkit && $(GO_BUILD) -o $(BIN)/bench-ginkit/server ./server
	$(GO_BUILD) $(SAMPLEAPP_TAGS) -o bin/bench-ginkit/sampleapp ./sampleapp
	GOOS=linux GOARCH=amd64 $(GO_BUILD) $(SAMPLEAPP_TAGS) -o bin/bench-ginkit/sampleapp-amd64 ./sampleapp
	bin/bench-ginkit/bench $(BENCH_GINKIT_FLAGS)

.PHONY: bench-adapter
bench-adapter: check-go $(ASSETS) ## Measure the metrics adapter with 1,000 pods; BENCH_ADAPTER_FLAGS="-h" lists what can be set
	$(GO_BUILD) -o bin/bench-adapter ./test/performance/adapter
	go build -ldflags "$(GO_LDFLAGS) -X main.allowLoopback=yes" -o bin/metrics-adapter-loopback ./cmd/metrics-adapter
	bin/bench-adapter $(BENCH_ADAPTER_FLAGS)

.PHONY: lint
lint: check-go bin/golangci-lint ## Lint all code, and the API by the conventions of Kubernetes
	@for module in $(LINT_MODULES); do echo "golangci-lint run $$module"; (cd "$$module" && $(BIN)/golangci-lint run ./...); done

.PHONY: verify
verify: check-go ## Check that generated files are current, code is formatted and modules are tidy
	@state() { git ls-files -z --cached --others --exclude-standard | xargs -0 sha256sum 2>/dev/null || true; }; \
	before=$$(state); $(MAKE) --no-print-directory generate manifests api-docs format tidy; \
	if ! difference=$$(diff <(echo "$$before") <(state)); then \
		sed -n 's/^[<>] [0-9a-f]*  /  /p' <<<"$$difference" | sort -u; \
		echo 'verify: these files were not current, and are now: commit them. `make generate manifests api-docs format tidy` does the same.' >&2; \
		exit 1; \
	fi
	@echo 'verify: generated files are current, code is formatted, modules are tidy'

##@ Change

.PHONY: generate
generate: bin/controller-gen ## Generate the API's methods
	bin/controller-gen object paths=./api/...

.PHONY: manifests
manifests: bin/controller-gen prometheusrule ## Generate the CustomResourceDefinition, the operator's role and the PrometheusRule
	bin/controller-gen crd paths=./api/... output:crd:artifacts:config=config/crd/bases
	bin/controller-gen rbac:roleName=gin-operator-manager paths=./controllers output:rbac:artifacts:config=config/rbac

# A rule file is the spec of a PrometheusRule.
.PHONY: prometheusrule
prometheusrule:
	@{ printf '%s\n' '# Made of ../alerts.yaml by `make manifests`.' 'apiVersion: monitoring.coreos.com/v1' 'kind: PrometheusRule' 'metadata:' \
		'  name: gin-operator' '  namespace: monitoring' '  labels:' '    app.kubernetes.io/name: gin-operator' 'spec:'; \
		sed -e '/^#/d' -e 's/^./  &/' config/monitoring/alerts.yaml; } >config/monitoring/prometheusrule/prometheusrule.yaml

.PHONY: api-docs
api-docs: bin/crd-ref-docs ## Generate the API reference
	@mkdir -p docs/reference
	bin/crd-ref-docs --source-path=api --config=hack/tools/crd-ref-docs.yaml --renderer=markdown --output-path=docs/reference/api.md --max-depth=20 --log-level=WARN

.PHONY: format
format: bin/golangci-lint ## Format all code
	bin/golangci-lint fmt

.PHONY: tidy
tidy: ## Tidy every module
	@for module in $(MODULES); do echo "go mod tidy $$module"; (cd "$$module" && go mod tidy); done

.PHONY: clean
clean: ## Remove what was built, but for the binaries of Kubernetes, which take minutes
	rm -rf dist $(addprefix bin/,manager metrics-adapter metrics-adapter-loopback sampleapp load bench bench-adapter bench-ginkit demo versions cluster controller-gen crd-ref-docs golangci-lint)

# What the targets above need.

.PHONY: check-go
check-go:
	@if ! command -v go >/dev/null; then echo 'This needs Go $(GO_VERSION) or later, and there is no go on the PATH: see https://go.dev/doc/install' >&2; exit 1; fi
	@have=$$(go env GOVERSION) && printf '%s\n' '$(GO_VERSION)' "$${have#go}" | sort --version-sort --check=quiet || \
		{ echo "This needs Go $(GO_VERSION) or later, and go on the PATH is $${have:-older}: see https://go.dev/doc/install" >&2; exit 1; }

.PHONY: check-cc
check-cc:
	@command -v "$$(go env CC)" >/dev/null || \
		{ echo "The race detector needs a C compiler, and there is no $$(go env CC) on the PATH: install gcc and libc6-dev (Debian's names)" >&2; exit 1; }

# Built each time, because Go knows better than make what has changed.
.PHONY: bin/cluster
bin/cluster: check-go
	@cd hack/cluster && go build -o $(BIN)/cluster .

.PHONY: k8s
k8s: bin/cluster
	@bin/cluster build control-plane

TOOLS_MODULE := hack/tools/go.mod hack/tools/go.sum

bin/golangci-lint: $(TOOLS_MODULE) hack/tools/golangci-lint/main.go
	@echo 'building golangci-lint (two minutes, once)'
	@cd hack/tools && go build -ldflags '-s -w' -o $(BIN)/golangci-lint ./golangci-lint && touch $(BIN)/golangci-lint

bin/controller-gen: $(TOOLS_MODULE)
	@cd hack/tools && go build -ldflags '-s -w' -o $(BIN)/controller-gen sigs.k8s.io/controller-tools/cmd/controller-gen && touch $(BIN)/controller-gen

bin/crd-ref-docs: $(TOOLS_MODULE)
	@cd hack/tools && go build -ldflags '-s -w' -o $(BIN)/crd-ref-docs github.com/elastic/crd-ref-docs && touch $(BIN)/crd-ref-docs
