# What can be done here. Every target runs from a fresh checkout with Rust, Python 3 and make; whatever else it needs it
# installs into .cache/, which git ignores and `make clean` removes.
#
#   make demo     two agents talk, for real, in temporary directories
#   make test     every test: Rust, Python, fuzz targets, crashes, interoperation, the commands of the README
#   make check    format, lints, dependencies
#
# CARGO_TARGET_DIR is respected.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
# The steps share a target directory, and two cores are soon busy.
.NOTPARALLEL:

CARGO ?= cargo
PYTHON ?= python3

# Seconds for each fuzz target.
SECONDS := 5
# Rounds of the checkers in `make crash` and `make convergence`, and the seed of their plans.
ROUNDS ?= 200
SEED ?= 1
# Members of the channel in `make convergence`.
MEMBERS ?= 10
# Further arguments of pytest in `make interop`.
ARGS ?=

TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
CACHE := $(CURDIR)/.cache
TOOLS := $(CACHE)/tools/bin
DEBUG := $(TARGET)/debug/toq
FAULTS := $(TARGET)/faults/debug/toq
PLAYER := $(TARGET)/debug/examples/player
SDK := $(CACHE)/venv-sdk
SKYTALE := $(CACHE)/venv-skytale
DEMO := $(CACHE)/venv-demo

DENY := $(or $(shell command -v cargo-deny),$(TOOLS)/cargo-deny)
FUZZ := $(or $(shell command -v cargo-fuzz),$(TOOLS)/cargo-fuzz)
FUZZ_TARGETS := $(sort $(basename $(notdir $(wildcard fuzz/targets/*.rs))))

export TOQ_CACHE := $(CACHE)
export PYTHONDONTWRITEBYTECODE := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# A daemon or a setting of the caller's must not find its way into a test.
unexport TOQ_URL TOQ_CONFIG_DIR

.PHONY: help demo check test bench docs clean
.PHONY: debug faults player
.PHONY: test-rust test-doc fuzz sdk skytale skytale-wheel crash crash-check crash-short convergence convergence-short interop readme

help:
	@sed -n 's/^#   make/make/p' Makefile
	@echo 'make fuzz     each fuzz target for SECONDS=$(SECONDS)'
	@echo 'make crash    the crash checker for ROUNDS=$(ROUNDS)'
	@echo 'make convergence  MEMBERS=$(MEMBERS) of a channel change it at once and are killed, for ROUNDS=$(ROUNDS)'
	@echo 'make interop  our daemon against the published one'
	@echo 'make bench    the numbers of docs/benchmarks.md'
	@echo 'make docs     the API documentation of every room'
	@echo 'make clean    removes what was built and installed here'

## A new user ---------------------------------------------------------------------------------------------------------

# From the development build, which `make test` needs as well: there in a few minutes, where the release takes a quarter of an hour.
demo: debug $(DEMO)/.ready
	@$(DEMO)/bin/maturin build --quiet --compatibility linux --manifest-path python/skytale/Cargo.toml --out $(CACHE)/wheels-demo
	@$(DEMO)/bin/python -m pip install --quiet --no-deps --force-reinstall $(CACHE)/wheels-demo/*.whl
	@$(PYTHON) tests/demo.py $(DEBUG) $(DEMO)/bin/python

## Before a commit ----------------------------------------------------------------------------------------------------

check: $(DENY)
	$(CARGO) fmt --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(DENY) --workspace check bans licenses sources

## Tests --------------------------------------------------------------------------------------------------------------

test: test-rust test-doc fuzz sdk skytale crash-check crash-short convergence-short interop readme
	@echo 'everything passed'

test-rust:
	if $(CARGO) nextest --version >/dev/null 2>&1; then \
		$(CARGO) nextest run --workspace --no-fail-fast; \
	else \
		$(CARGO) test --workspace --lib --bins --tests --no-fail-fast; \
	fi

test-doc:
	$(CARGO) test --workspace --doc

# New inputs are kept in the target directory, so that the next run begins where this one ended.
fuzz: $(FUZZ)
	for target in $(FUZZ_TARGETS); do \
		corpus=$(TARGET)/fuzz/corpus/$$target; \
		mkdir -p $$corpus; \
		RUSTC_BOOTSTRAP=1 $(FUZZ) run --target-dir $(TARGET)/fuzz $$target $$corpus fuzz/seeds/$$target -- \
			-max_total_time=$(SECONDS) -rss_limit_mb=1024 -timeout=10 -verbosity=0 -print_final_stats=0; \
		echo "fuzz: $$target held for $(SECONDS) s"; \
	done

sdk: debug $(SDK)/.ready
	cd python/toq && TOQ_BIN=$(DEBUG) $(SDK)/bin/python -m pytest -p no:cacheprovider tests

# The package is installed as users get it, from a wheel; never from the sources, where its native half is not.
skytale: debug skytale-wheel
	cd python/skytale && TOQ_BIN=$(DEBUG) $(SKYTALE)/bin/python -m pytest -p no:cacheprovider tests

crash-check:
	$(PYTHON) -m unittest discover -s tests/crash
	$(CARGO) test --package toq-actors --features faults --test drills --target-dir $(TARGET)/faults
	$(CARGO) test --package toq-relay --features faults --test drills --target-dir $(TARGET)/faults
	$(CARGO) test --package toq --features faults --test backup_crash --test rotation_crash --test takeover --target-dir $(TARGET)/faults

# Long enough to reach most crash points; `make crash` is the run that counts.
crash-short: faults
	$(PYTHON) tests/crash/run.py --rounds 15 --seed $(SEED) --bin $(FAULTS)

crash: faults
	$(PYTHON) tests/crash/run.py --rounds $(ROUNDS) --seed $(SEED) --bin $(FAULTS)
	for fault in ack-before-commit no-dedupe no-to-check; do \
		$(PYTHON) tests/crash/run.py --rounds 60 --seed $(SEED) --bin $(FAULTS) --fault $$fault --expect-violation; \
	done

# Long enough for some of everything; `make convergence` is the run that counts.
convergence-short: debug player
	$(PYTHON) -m unittest discover -s tests/convergence
	$(PYTHON) tests/convergence/run.py --rounds 6 --members $(MEMBERS) --seed $(SEED) --toq $(DEBUG) --player $(PLAYER)

convergence: debug player
	$(PYTHON) tests/convergence/run.py --rounds $(ROUNDS) --members $(MEMBERS) --seed $(SEED) --toq $(DEBUG) --player $(PLAYER)
	$(PYTHON) tests/convergence/run.py --rounds 20 --seed $(SEED) --toq $(DEBUG) --player $(PLAYER) --fault apply-unread --expect-violation

interop: debug skytale-wheel
	@if unshare --net true 2>/dev/null || unshare --map-root-user --net true 2>/dev/null; then \
		TOQ_BIN=$(DEBUG) TOQ_INTEROP_SKYTALE_OURS=$(SKYTALE)/bin/python tests/interop/run.sh $(ARGS); \
	else \
		echo 'interop: SKIPPED, this system allows no private network namespace'; \
	fi

readme: debug $(SDK)/.ready
	$(SDK)/bin/python docs/check.py $(DEBUG)

## Numbers and pages --------------------------------------------------------------------------------------------------

bench:
	$(CARGO) bench --workspace --benches

docs:
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --workspace --no-deps
	@echo 'see $(TARGET)/doc/toq_protocol/index.html'

## What the others need -----------------------------------------------------------------------------------------------

debug:
	$(CARGO) build

# Apart from the others: a binary with crash points in it must never be taken for one without.
faults:
	$(CARGO) build --features faults --target-dir $(TARGET)/faults

player:
	$(CARGO) build --package toq-member --example player --features faults

$(TOOLS)/cargo-deny:
	env -u CARGO_TARGET_DIR $(CARGO) install --quiet --locked --root $(CACHE)/tools --version 0.20.2 cargo-deny

$(TOOLS)/cargo-fuzz:
	env -u CARGO_TARGET_DIR $(CARGO) install --quiet --locked --root $(CACHE)/tools --version 0.13.2 cargo-fuzz

# The package is installed editable, so the environment is old only when its requirements change.
$(SDK)/.ready: python/toq/pyproject.toml
	$(PYTHON) -m venv --clear $(SDK)
	$(SDK)/bin/python -m pip install --quiet -e 'python/toq[dev]'
	touch $@

$(SKYTALE)/.ready: python/skytale/pyproject.toml
	$(PYTHON) -m venv --clear $(SKYTALE)
	$(SKYTALE)/bin/python -m pip install --quiet 'maturin>=1.9.4,<2'
	touch $@

$(DEMO)/.ready: python/skytale/pyproject.toml
	$(PYTHON) -m venv --clear $(DEMO)
	$(DEMO)/bin/python -m pip install --quiet 'maturin>=1.9.4,<2'
	touch $@

# Built anew each time, which takes a moment when nothing has changed: what changes it is known to cargo alone.
skytale-wheel: $(SKYTALE)/.ready
	rm -rf $(CACHE)/wheels
	VIRTUAL_ENV=$(SKYTALE) $(SKYTALE)/bin/maturin build --quiet --compatibility linux --manifest-path python/skytale/Cargo.toml \
		--out $(CACHE)/wheels
	$(SKYTALE)/bin/python -m pip install --quiet --no-deps --force-reinstall $(CACHE)/wheels/*.whl
	$(SKYTALE)/bin/python -m pip install --quiet "$$(echo $(CACHE)/wheels/*.whl)[dev]"

clean:
	$(CARGO) clean
	rm -rf $(CACHE) fuzz/artifacts fuzz/corpus fuzz/target
