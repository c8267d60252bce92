# The commands of this project; `make help` lists them. Kept to what GNU make 3.81 knows, which
# is what macOS ships.

SHELL    := /bin/sh
GO       ?= go
FUZZTIME ?= 5s
COUNT    ?= 100
RUN      ?= .
DURATION ?= 60s
SPOKES   ?= 20
FAULTS   ?= 20
LIMIT    ?= 10s
MUTANTS  ?= 150
SEED     ?=
PKG      ?= ./...
BIN      := bin
JS       := examples/hub-spoke/js
MUTATE   ?= internal/session internal/peer internal/registration internal/wire pending hub hub/redisbackplane spoke transport internal/jsonscan

.DEFAULT_GOAL := help
.PHONY: cross help run run-cluster test bench bench-quick operations check fmt vet staticcheck lint race jsonv2 race-count soak mutants fuzz vuln tidy bench-build node redis js tools clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

run: ## start the example system and let it show itself
	$(GO) run ./examples/hub-spoke demo

run-cluster: ## the same on two hubs with a Redis of their own, and one hub is killed
	tools/redis.sh run sh -c '$(GO) run ./examples/hub-spoke demo -hubs 2 -redis "$$REDIS_URL"'

test: redis ## run the tests, which need Go and redis-server
	$(GO) test ./...

# Both leave their tables and figures in build/.
bench: redis ## measure against others, about 25 minutes; BENCH='-workloads W1 -repeat 9' for a part
	@mkdir -p build
	cd bench && $(GO) run . -plot ../build/growth.svg -markdown ../build/bench.md -json ../build/bench.json $(BENCH)

bench-quick: redis ## the same in under 3 minutes, without the growth
	@mkdir -p build
	cd bench && $(GO) run . -quick -markdown ../build/bench-quick.md -json ../build/bench-quick.json $(BENCH)

# Cheap steps come first, so that most mistakes are told within seconds.
check: fmt vet cross tidy node redis bench-build staticcheck lint race jsonv2 operations js fuzz vuln ## everything that must hold before a merge
	@echo "check: all passed"

fmt: ## fail on files that gofmt would change
	@out=$$(gofmt -l .); if [ -n "$$out" ]; then echo "not formatted, run gofmt -w on:"; echo "$$out"; exit 1; fi

vet: ## go vet
	$(GO) vet ./...

cross: ## build for the other systems, and the spoke for js/wasm
	@for os in windows darwin freebsd; do echo "build for $$os"; GOOS=$$os CGO_ENABLED=0 $(GO) build ./... || exit 1; done
	@echo "build the spoke for js/wasm"; GOOS=js GOARCH=wasm $(GO) build ./spoke ./call/... ./pubsub

tidy: ## fail when go.mod or go.sum are not tidy
	$(GO) mod tidy -diff

staticcheck: $(BIN)/.tools ## staticcheck
	$(BIN)/staticcheck ./...

lint: $(BIN)/.tools ## golangci-lint with .golangci.yml
	$(BIN)/golangci-lint run ./...

# The variable makes the test that drives the JavaScript spoke fail, not pass by, where Node is missing.
race: node redis ## run the tests with the race detector
	HUBSPOKE_NODE=required $(GO) test -race ./...

# From Go 1.27 on this engine is the default.
jsonv2: ## run the tests of what reads Go values with the engine of encoding/json/v2
	GOEXPERIMENT=jsonv2 $(GO) test ./call/... ./pubsub ./hub/gateway

race-count: redis ## hammer a test: make race-count COUNT=100 RUN=TestName PKG=./hub
	$(GO) test -race -count=$(COUNT) -run '$(RUN)' $(PKG)

# The programs and configurations are taken from the page itself. Debian keeps nginx where only root looks.
operations: redis ## run every example of docs/operations.md; needs nginx and redis-sentinel
	@PATH="$$PATH:/usr/sbin"; for program in nginx redis-sentinel; do command -v $$program >/dev/null 2>&1 \
	  || { echo "$$program is missing (Debian: apt-get install nginx-light redis-sentinel)"; exit 1; }; done
	$(GO) vet -tags operations ./internal/operations
	$(GO) test -count=1 -tags operations ./internal/operations

soak: ## run everything under load and faults: make soak DURATION=60s SPOKES=20 FAULTS=20 (a second) LIMIT=10s (of a call)
	$(GO) run -race ./internal/soak -duration $(DURATION) -spokes $(SPOKES) -faults $(FAULTS) -limit $(LIMIT)

# Not part of `make check`: a survivor is a question to a person. MUTATE='transport pending' tries fewer packages.
mutants: redis ## list changes of the code that no test notices: make mutants MUTANTS=150 SEED=1
	$(GO) run ./internal/mutants -n $(MUTANTS) -seed "$(SEED)" $(MUTATE)

# go test takes one fuzz target at a time, so each is found by its name and run alone.
fuzz: ## run each fuzz target for FUZZTIME
	@grep -r --include='*_test.go' -E '^func Fuzz[A-Za-z0-9_]*\(' . | grep -v -E '^\./(bench|tools)/' \
	  | sed -E 's#^(.*)/[^/]+_test\.go:func (Fuzz[A-Za-z0-9_]*)\(.*#\1 \2#' | sort -u \
	  | while read -r dir name; do \
	      echo "fuzz $$dir $$name for $(FUZZTIME)"; \
	      $(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) "$$dir" </dev/null || exit 1; \
	    done

# govulncheck ends with 3 on a finding. Its database is on the network: where that is out of reach
# the check has nothing to say about our code, so it says this and goes on.
vuln: $(BIN)/.tools ## look for known vulnerabilities that our code reaches
	@out=$$($(BIN)/govulncheck ./... 2>&1); code=$$?; \
	if [ $$code -eq 0 ]; then echo "govulncheck: nothing found"; \
	elif [ $$code -ne 3 ] && echo "$$out" | grep -q -i 'fetching vulnerabilities'; then \
	  echo "govulncheck: database not reached, not checked"; \
	else echo "$$out"; exit 1; fi

bench-build: ## build the benchmarks, which are a module of their own
	@if [ -f bench/go.mod ]; then echo "$(GO) vet bench"; cd bench && $(GO) vet ./...; fi

node:
	@command -v node >/dev/null 2>&1 || { echo "Node is missing: install Node.js 20 or newer (Debian: apt-get install nodejs; macOS: brew install node)"; exit 1; }

# Installs it where that can be done; otherwise it fails with one line that says what to install.
redis:
	@tools/redis.sh

# Once with its own WebSocket client and once with the platform's, which Node 20 has behind a flag.
js: node ## run the JavaScript spoke's own tests
	node --test --test-reporter=dot $(JS)/spoke.test.mjs
	HUBSPOKE_WEBSOCKET=platform node --experimental-websocket --test --test-reporter=dot $(JS)/spoke.test.mjs

tools: $(BIN)/.tools ## build the linters into bin/

# A stamp, since `go install` leaves the time of an unchanged program alone.
$(BIN)/.tools: tools/go.mod tools/go.sum
	cd tools && GOBIN="$(CURDIR)/$(BIN)" $(GO) install tool
	@touch $@

clean: ## remove what was built
	rm -rf $(BIN) build
