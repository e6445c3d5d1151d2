# Everything a developer runs, always with the tools of .venv. `make` alone lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help

BIN := .venv/bin
JOBS ?= 2
FUZZ_SECONDS ?= 11
# make test ARGS="-k pe"; make lock ARGS=--upgrade
ARGS ?=

PIP_INSTALL := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input install
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --system-certs $(ARGS) pyproject.toml

.PHONY: help venv peers demo test lint format interop conformance differential vm race fuzz bench docs lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# --- set-up: each stamp lives in .venv, so that removing .venv forgets them all

.venv/.locked: requirements.lock tools/venv.sh tools/apt.sh
	@tools/venv.sh

.venv/.project: .venv/.locked pyproject.toml
	@$(PIP_INSTALL) --no-build-isolation --no-deps --editable .
	@$(BIN)/python -m compileall -q src # an editable install is not compiled; where Python may not do it, starting takes thrice as long
	@touch $@

.venv/.interop: .venv/.project requirements-interop.lock tools/loosen_oscrypto.py
	@$(PIP_INSTALL) --require-hashes --only-binary :all: -r requirements-interop.lock
	@$(BIN)/python tools/loosen_oscrypto.py
	@touch $@

.venv/.conformance: .venv/.project requirements-conformance.lock
	@$(PIP_INSTALL) --require-hashes --only-binary :all: -r requirements-conformance.lock
	@touch $@

.venv/.fuzz: .venv/.project requirements-fuzz.lock
	@$(PIP_INSTALL) --require-hashes --only-binary :all: -r requirements-fuzz.lock
	@touch $@

.venv/.vm: .venv/.project requirements-vm.lock
	@$(PIP_INSTALL) --require-hashes --only-binary :all: -r requirements-vm.lock
	@touch $@

venv: .venv/.project ## the locked tools and chopmark itself in .venv
	@:

peers:
	@tools/peers.sh

# --- what it does

demo: venv ## sign, tamper, revoke and judge real files
	$(BIN)/chopmark demo $(ARGS)

# What pytest makes of the asserts is kept, whatever the environment says: ten seconds of every further run.
test: venv ## unit, contract and documentation tests, without network
	@PYTHONDONTWRITEBYTECODE= $(BIN)/pytest -n $(JOBS) $(ARGS)

lint: venv ## style, types, imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: venv ## let ruff mend what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

interop: .venv/.interop peers ## cross-check with real peers (installs them)
	$(BIN)/pytest -n $(JOBS) tests/interop $(ARGS)

conformance: .venv/.conformance ## standard test suites against the path engine
	$(BIN)/python tests/conformance/run.py $(ARGS)

differential: .venv/.interop ## random chains, judged by us and three others (ARGS="--count 5000 --seed 7")
	$(BIN)/python -W ignore tests/interop/differential.py $(ARGS)

vm: .venv/.vm ## let firmware and kernels in virtual machines judge what chopmark signs (fetches them)
	@tools/vm_peers.sh
	$(BIN)/pytest -n $(JOBS) --dist loadfile --basetemp=build/vm/tmp tests/vm $(ARGS)

race: venv ## 200,000 executions of what others write to, under a guard (ARGS="--count 10000 --kind ext4")
	$(BIN)/python tests/race/run.py $(ARGS)

fuzz: .venv/.fuzz ## a short atheris and hypothesis run over every parser
	$(BIN)/python tests/fuzz/run.py --seconds $(FUZZ_SECONDS) $(ARGS)

bench: .venv/.interop peers ## measure against the peers
	$(BIN)/python bench/run.py $(ARGS)

docs: venv ## render the generated documentation and check it
	$(BIN)/python tools/docs.py $(ARGS)

lock: venv ## renew the lock files (ARGS=--upgrade for newer versions)
	$(LOCK) --extra demo --extra dev --extra packages --extra pkcs11 --extra postgresql --output-file requirements.lock
	$(LOCK) --constraint requirements.lock --extra interop --output-file requirements-interop.lock
	$(LOCK) --constraint requirements.lock --extra conformance --output-file requirements-conformance.lock
	$(LOCK) --constraint requirements.lock --extra fuzz --output-file requirements-fuzz.lock
	$(LOCK) --constraint requirements.lock --extra vm --output-file requirements-vm.lock
	@! grep -nE '://|index-url|find-links|file:' requirements*.lock

clean: ## remove .venv and everything made
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests tools bench -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
