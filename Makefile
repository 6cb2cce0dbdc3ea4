# Everything runs in .venv; each stamp says that a locked set of requirements is installed in it.
PYTHON ?= python3
PORT ?= 8000
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: run configure check test bench synth lock clean

run: .venv/run.stamp  ## the whole service on http://127.0.0.1:$(PORT)
	@exec $(BIN)/python -m tools.local --port $(PORT)

configure: .venv/run.stamp  ## the operator's command: make configure ARGS="apply my.yaml"
	@$(BIN)/python -m tools.configure $(ARGS)

check: .venv/dev.stamp  ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: .venv/dev.stamp  ## every test; nothing is skipped
	$(BIN)/python -m pytest

bench: .venv/dev.stamp  ## what the claims of speed stand on
	$(BIN)/python -m bench

synth: .venv/dev.stamp  ## the CloudFormation templates, in cdk.out
	$(BIN)/python app.py

lock: .venv/dev.stamp  ## newest versions within requirements/*.in, with hashes
	$(BIN)/pip install --quiet uv
	cd requirements && for set in dev run functions; do \
	  uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	    $$([ $$set = dev ] || echo --constraint dev.txt) $$set.in --output-file $$set.txt || exit 1; done
	npm install --package-lock-only --omit-lockfile-registry-resolved

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Ringpost needs Python 3.11 or later; this is " + sys.version.split()[0] + ". Name another with PYTHON=…") if sys.version_info < (3, 11) else 0'
	@$(PYTHON) -m venv .venv

.venv/run.stamp: requirements/run.txt package-lock.json | .venv/bin/python
	@echo "Installing what the local run needs (once) …"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.txt
	@$(BIN)/npm ci --silent --no-audit --no-fund
	@touch $@

.venv/dev.stamp: requirements/dev.txt package-lock.json .venv/run.stamp | .venv/bin/python
	@echo "Installing what tests, checks and synth need (once) …"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

clean:
	rm -rf .venv node_modules cdk.out build
