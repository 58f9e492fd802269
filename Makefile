# `make` alone tells what there is. demo and test need Go and nothing else.
SHELL := /bin/sh
GO ?= go
LINT := $(GO) tool -modfile=.ci/tools/go.mod golangci-lint
LDFLAGS := -s -w

.DEFAULT_GOAL := help
.PHONY: help demo test check lint race pins shell build bench e2e

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## a real sync and a real agent on loopback, and what a person sees of them
	@$(GO) run ./scripts/stand demo

test: ## the tests
	$(GO) test -timeout 5m ./...

check: lint race pins shell ## lint, tests with the race detector, pins, shell scripts

lint: ## golangci-lint at the version that .ci/tools pins
	$(LINT) run ./...

race: ## the tests with the race detector; it needs a C compiler
	CGO_ENABLED=1 $(GO) test -race -timeout 10m ./...

pins: ## versions that must be the same in several places
	scripts/check-pins.sh

shell: ## shellcheck, where it is installed
	@if command -v shellcheck >/dev/null; then shellcheck scripts/*.sh .ci/run && echo 'shellcheck: ok'; \
	else echo 'shellcheck: not installed, passed over'; fi

build: ## the binary, as it is released
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags="$(LDFLAGS)" -o remora .

bench: ## remora beside curl, the agent beside lesser handlers: time, memory, requests
	scripts/bench.sh

e2e: ## the components in gitlab-ci-local, against stand-ins
	scripts/e2e.sh
