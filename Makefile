# Everything is set up on the way: a target does only what is missing or out of date.

PYTHON ?= python3
ARGS ?=
TARGET ?=
SECONDS ?= 60
SEED ?=
SEEDS ?=
STEPS ?=
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.PHONY: help setup serve test bench bench-peers simulate chaos fuzz load audit format lock clean page check-python check-page

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

setup: .venv/.ready page ## set everything up

serve: setup ## serve; options by ARGS="--port 0"
	@$(BIN)/wormux serve $(ARGS)

test: setup ## check everything and run all tests; options for pytest by ARGS="-k name"
	@scripts/ensure_programs
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target check-python check-page
	$(BIN)/pytest $(ARGS)

check-python: .venv/.ready
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

check-page: page
	cd web && npm run --silent check
	$(BIN)/python -m wormux.protocol.schema --check web/src/protocol/wire.ts
	$(BIN)/python scripts/width_table.py --check

bench: setup ## run the benchmarks
	$(BIN)/python -m bench $(ARGS)

bench-peers: setup .venv-peers/.ready bench/peers/node_modules/.ready ## measure other terminal servers beside ours
	$(BIN)/python -m bench.peers $(ARGS)

load: setup ## put servers under load, see whether anything grows; ARGS="--seconds 600"
	$(BIN)/python -m wormux.testing.load $(ARGS)

simulate: .venv/.ready ## play stories of the hub in a simulated world: SEED=7 STEPS=300, SEEDS=0..100000
	$(BIN)/python -m wormux.testing.simulate $(SEED:%=--seed %) $(SEEDS:%=--seeds %) $(STEPS:%=--steps %) $(ARGS)

chaos: setup ## break a real server in every way, compare every byte: SECONDS=300 SEED=7
	$(BIN)/python -m tests.chaos --seconds $(SECONDS) $(if $(SEED),--seed $(SEED)) $(ARGS)

fuzz: setup .venv/.fuzz ## throw hostile bytes at one part: TARGET=hub SECONDS=60
	$(BIN)/python -m fuzz $(TARGET) --seconds $(SECONDS) $(ARGS)

audit: .venv-audit/.ready ## ask whether anything that is pinned is known to be vulnerable
	@.venv-audit/bin/python scripts/audit.py

format: .venv/.ready page ## put the sources into their form, and write what is generated
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/python -m wormux.protocol.schema web/src/protocol/wire.ts
	$(BIN)/python scripts/width_table.py
	$(BIN)/python scripts/reference.py
	$(BIN)/python scripts/lifecycle_diagrams.py
	cd web && npm run --silent format

lock: ## choose the newest allowed packages and pin them
	$(PYTHON) scripts/lock.py

clean: ## remove what was set up and built
	rm -rf .venv .venv-audit .venv-peers web/node_modules bench/peers/node_modules src/wormux/server/page dist
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache

.venv/bin/python:
	@$(PYTHON) scripts/check_python.py
	$(PYTHON) -m venv --clear .venv

# The build backend comes first, so that it is the pinned one.
.venv/.ready: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) hatchling editables
	$(PIP) --no-build-isolation --editable '.[dev]'
	@touch $@

# What Wormux is measured against stands apart. Where a part cannot be installed, the table says so.
.venv-peers/.ready: bench/peers/requirements.txt bench/peers/constraints.txt
	$(PYTHON) -m venv --clear .venv-peers
	-.venv-peers/bin/python -m pip --disable-pip-version-check install --quiet \
		--constraint bench/peers/constraints.txt --requirement bench/peers/requirements.txt
	@touch $@

bench/peers/node_modules/.ready: bench/peers/package-lock.json
	-cd bench/peers && npm ci --no-audit --no-fund --loglevel=error
	@mkdir -p $(@D) && touch $@

# It reads what is pinned, and needs nothing of it.
.venv-audit/.ready: scripts/audit_requirements.txt
	$(PYTHON) -m venv --clear .venv-audit
	.venv-audit/bin/python -m pip --disable-pip-version-check install --quiet --requirement $<
	@touch $@

.venv/.fuzz: .venv/.ready
	$(PIP) --no-build-isolation --editable '.[fuzz]'
	@touch $@

page: .venv/.ready
	@$(BIN)/python scripts/build_page.py
