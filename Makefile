# make help lists what there is. Every target works on a fresh Debian with Go.
SHELL := /bin/bash
.DEFAULT_GOAL := help
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME ?= 30s

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## the demo: Patchbay, a pretend provider and a pretend app
	go run . demo

.PHONY: run
run: ## the real server, with the settings of the environment
	go run . serve

.PHONY: build
build: ## the static binary, as bin/patchbay
	CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o bin/patchbay .

.PHONY: tools
tools: ## install what the tests need, through the system's package managers
	./e2e/install-tools

.PHONY: test
test: tools ## install what the tests need, then run all of them
	./e2e/run-tests

.PHONY: quick
quick: ## the tests that need nothing installed but Go
	go test $$(go list ./... | grep -v '/e2e')

.PHONY: check
check: ## static checks: formatting, vet, staticcheck, generated code, go.mod
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo "these files are not formatted: run gofmt -w"; exit 1; }
	go vet ./...
	go run $(STATICCHECK) ./...
	go mod tidy -diff
	cd e2e/thirdparty && go vet ./... && go run $(STATICCHECK) ./... && go mod tidy -diff
	$(MAKE) --no-print-directory fresh

.PHONY: generate
generate: ## make the Go code of the templates
	go tool templ generate -path views
	gofmt -w views

.PHONY: fresh
fresh: ## fail if the generated code is not what the templates give
	@before=$$(cat views/*_templ.go | sha256sum); \
	$(MAKE) --no-print-directory generate >/dev/null 2>&1 || { echo "templ generate failed"; exit 1; }; \
	after=$$(cat views/*_templ.go | sha256sum); \
	test "$$before" = "$$after" || { echo "views/*_templ.go were stale: commit what make generate wrote"; exit 1; }

.PHONY: bench-vault
bench-vault: ## measure reads, pages and flows beside floors, on SQLite and PostgreSQL; writes docs/measurements-vault.md
	go run ./bench/vault > docs/measurements-vault.md; cat docs/measurements-vault.md

.PHONY: vault
vault: ## the tests of refresh, keys and backups in their full size (an hour); writes docs/vault-full.md
	./e2e/vault-full

.PHONY: mutate
mutate: ## remove each defence in turn and show that a test turns red; writes docs/mutations.md
	go run ./e2e/mutate

.PHONY: connectors
connectors: ## write docs/connectors.md from the catalogue
	UPDATE=1 go test -count=1 ./e2e/types -run 'TestNaiveClient|TestConnectorsDoc'

.PHONY: previews
previews: ## write every page in every state to tmp/previews
	mkdir -p tmp/previews && PREVIEW_DIR=$(CURDIR)/tmp/previews go test -count=1 -run Preview ./views

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME each
	@set -e; for file in $$(grep -rl '^func Fuzz' --include='*_test.go' . | sort -u); do \
	  for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p' $$file); do \
	    echo "== $$target ($$(dirname $$file))"; go test -run='^$$' -fuzz="^$$target$$" -fuzztime=$(FUZZTIME) ./$$(dirname $$file); \
	  done; done

.PHONY: bench
bench: ## measure: pages, token reads, size, cold start, memory
	go run ./bench | tee docs/measurements.md
