# `make` alone says what there is. ARGS is handed on, as in: make run ARGS="--listen 127.0.0.1:9000"
.DEFAULT_GOAL := help
SHELL := /bin/sh
export CARGO ?= cargo
ARGS ?=
BUILT := $(or $(CARGO_TARGET_DIR),target)

.PHONY: help run release static packages corpus demo screenshots test test-quick measure lint fmt bench bench-stores bench-acks chaos-kill chaos chaos-limits simulate proof fuzz schemathesis publish-check soak outage upgrade docs doors install clean

help: ## Print this list.
	@echo "usage: make <target> [ARGS=\"...\"]"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Install what is missing, build what starts soonest, and serve on http://127.0.0.1:8000.
	@exec scripts/run $(ARGS)

release: ## Build the release binary, target/release/longhaul, with the embedding model beside it.
	@scripts/install-tools build
	@$(CARGO) build --release --locked --package longhaul-server
	@scripts/fetch-model $(BUILT)/release/models

static: ## Build a static release binary, which runs on every Linux: target/static/longhaul. ARGS: flags of cargo.
	@scripts/install-tools build
	@scripts/build-static $(ARGS)

packages: ## Make all packages of this platform in target/packages, install each into an empty folder, and serve within 2 s.
	@scripts/install-tools packages
	@scripts/build-static
	@$(CARGO) build --release --locked --package longhaul-server
	@scripts/make-packages $(BUILT)/packages
	@scripts/test-packages $(BUILT)/packages --within 2

test: ## Install what is missing, then run every check and test there is.
	@scripts/install-tools test
	@scripts/fetch-model $(BUILT)/models
	@scripts/check

test-quick: ## Test the crates that differ from main, and unit tests of those built on them. ARGS: crates.
	@scripts/test-quick $(ARGS)

measure: ## Measure the bars in time, on a quiet machine, and tell which hold. ARGS: bars and flags; ARGS=--help lists them.
	@scripts/install-tools test
	@$(CARGO) build --release --locked --quiet --package longhaul-chaos --package longhaul-server
	@missed=0; $(BUILT)/release/longhaul-chaos measure $(ARGS) || missed=1; \
	if [ -z "$(ARGS)" ]; then \
		$(CARGO) build --release --locked --quiet --package fakes && scripts/in-dashboard measure.mjs || missed=1; \
	fi; exit $$missed

lint: ## Only the checks that run nothing: format, clippy, licences, deployment files.
	@scripts/check format clippy licences deploy

fmt: ## Format the code.
	@$(CARGO) fmt --all

corpus: ## Read a folder of documents: pages, words, warnings, time, memory, beside a second reader. FOLDER=path.
	@scripts/install-tools run
	@$(CARGO) run --release --locked --quiet --package materials --example corpus -- \
		$(or $(FOLDER),services/materials/tests/documents)

demo: ## Show all five services at work in the dashboard, offline. ARGS="--terminal" walks through them in this terminal.
	@scripts/install-tools run
	@scripts/build-quick longhaul-server fakes
	@exec scripts/demo $(ARGS)

screenshots: ## Take each page of the dashboard, light and dark, into docs/screenshots. ARGS: pages.
	@scripts/install-tools test
	@scripts/build-quick longhaul-server fakes
	@exec scripts/in-dashboard screenshots.mjs $(ARGS)

bench: ## Measure, beside a bare log on the same disk. ARGS: workloads and flags of `longhaul bench`.
	@scripts/install-tools build
	@exec $(CARGO) run --release --locked --quiet --package longhaul-server -- bench --limit $(ARGS)

bench-stores: ## Measure the Postgres and Redis stores, on servers of their own. ARGS: stores and workloads.
	@scripts/install-tools test
	@$(CARGO) build --release --locked --quiet --package longhaul-server
	@scripts/bench-stores $(ARGS)

bench-acks: ## Measure how long the services take to say "I have it" while 100 jobs run.
	@$(CARGO) build --release --locked --quiet --package longhaul-server --package fakes
	@target/release/acks target/release/longhaul

chaos-kill: ## Kill a server with SIGKILL until convinced. KILLS=n (default 200), SEED=n to repeat a run.
	@scripts/install-tools run
	@LONGHAUL_TEST_KILLS=$(or $(KILLS),200) LONGHAUL_TEST_SEED=$(SEED) \
		$(CARGO) test --locked --package longhaul-server --test it -- --nocapture kill

chaos: ## Kill and stop workers and servers under load, judge outcomes and times. SECONDS=n (default 120), STORE=list, SEED=n.
	@scripts/install-tools test
	@$(CARGO) build --locked --quiet --package longhaul-server --package longhaul-chaos
	@target/debug/longhaul-chaos run --longhaul target/debug/longhaul --seconds $(or $(SECONDS),120) \
		$(if $(STORE),--store $(STORE)) $(if $(SEED),--seed $(SEED))

chaos-limits: ## Kill and stop workers while keys' slots and rates are taken, and judge turns. KILLS=n (default 500), STORE=list, SEED=n.
	@scripts/install-tools test
	@$(CARGO) build --locked --quiet --package longhaul-chaos
	@target/debug/longhaul-chaos limits $(if $(KILLS),--kills $(KILLS)) $(if $(STORE),--store $(STORE)) $(if $(SEED),--seed $(SEED))

simulate: ## Run the engine on a simulated store, network and clock, with faults. SEEDS=n (default 2000), HOURS=n, SEED=n replays, PLANT=fault.
	@$(CARGO) build --release --locked --quiet --package longhaul-simulation
	@target/release/longhaul-simulation $(if $(SEED),--seed $(SEED) $(if $(PLANT),--plant $(PLANT)),$(if $(HOURS),--hours $(HOURS),--seeds $(or $(SEEDS),2000)))

proof: ## Run seeds, planted faults and histories of all stores, and write docs/proof.md. HOURS=n of seeds (default 1), HISTORIES=n (default 1000).
	@scripts/install-tools test
	@rm -rf target/histories
	@LONGHAUL_HISTORIES=$(CURDIR)/target/histories PROPTEST_CASES=$(or $(HISTORIES),1000) $(CARGO) test --locked --quiet \
		--package longhaul-conformance --package longhaul-sqlite --package longhaul-postgres --package longhaul-redis \
		--test it -- agrees_with_the_model --skip cluster
	@$(CARGO) build --release --locked --quiet --package longhaul-simulation
	@target/release/longhaul-simulation --hours $(or $(HOURS),1) --proof docs/proof.md --histories target/histories

fuzz: ## Fuzz every parser of bytes from outside, needs nightly Rust and cargo-fuzz. SECONDS=n for each (default 30), TARGET=list.
	@scripts/fuzz $(or $(SECONDS),30) $(TARGET)

schemathesis: ## Hold a server with all services against its OpenAPI document. N=requests of each operation and phase (default 30), SEED=n.
	@scripts/install-tools test
	@$(CARGO) build --locked --quiet --package longhaul-server
	@scripts/schemathesis $(or $(N),30)

publish-check: ## Make the crates' packages, build each from its package in the order of publication, publish nothing.
	@$(CARGO) publish --workspace --dry-run --locked

soak: ## Hours of 200 jobs/s with kills each minute: memory, disk, latency stay flat, nothing is lost. HOURS=n a store (default 2), STORE=list.
	@scripts/install-tools test
	@$(CARGO) build --release --locked --quiet --package longhaul-server --package longhaul-chaos
	@$(BUILT)/release/longhaul-chaos soak --longhaul $(BUILT)/release/longhaul --hours $(or $(HOURS),2) \
		--curves docs $(if $(STORE),--store $(STORE)) $(ARGS)

outage: ## Take each store's server away for a minute, killed and silent, judge outcomes and times. SECONDS=n (default 60).
	@scripts/install-tools test
	@$(CARGO) build --locked --quiet --package longhaul-server --package longhaul-chaos
	@target/debug/longhaul-chaos outage --longhaul target/debug/longhaul --seconds $(or $(SECONDS),60)

upgrade: ## Run the last release beside this one, with both releases' clients, there and back. ARGS="--store sqlite".
	@scripts/install-tools test
	@$(CARGO) build --locked --quiet --package longhaul-server --package longhaul-chaos
	@scripts/upgrade $(ARGS)

docs: ## Build the guide, which the server shows at /docs, and the API documentation of the crates.
	@scripts/install-tools build
	@scripts/book $(BUILT)/book
	@RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps
	@echo "open $(BUILT)/book/index.html, or http://127.0.0.1:8000/docs while the server runs"
	@echo "open $(BUILT)/doc/longhaul/index.html"

doors: ## Follow the three doors of the guide in an empty folder, and measure how long each takes.
	@scripts/install-tools test
	@$(CARGO) build --release --locked --quiet --package longhaul-server
	@scripts/doors

install: ## Install what is missing on this machine: a C compiler, poppler, tesseract, GraphicsMagick.
	@scripts/install-tools run

clean: ## Remove what was built. The data folder stays.
	@$(CARGO) clean
