# Everything runs in .venv; each stamp says that a locked set of requirements is installed in it.
PYTHON ?= python3
PORT ?= 8000
BIN := .venv/bin
CDK := node_modules/.bin/cdk
BUNDLE ?= lambda
PLACE = --context stage=$(STAGE) --context account=$(ACCOUNT) --context region=$(REGION) --context bundle=$(BUNDLE)
PLAN = $(BIN)/python -m infra.plan $@ "$(STAGE)" "$(ACCOUNT)" "$(REGION)"
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: run configure check test bench emulator costs synth bootstrap deploy diff destroy named lock clean

run: .venv/run.stamp  ## the whole service on http://127.0.0.1:$(PORT)
	@exec $(BIN)/python -m tools.local --port $(PORT)

configure: .venv/run.stamp  ## the operator's command: make configure ARGS="apply my.yaml", STAGE=dev for a deployed stage
	@$(if $(REGION),AWS_REGION=$(REGION)) $(BIN)/python -m tools.configure $(if $(STAGE),--stage $(STAGE)) $(ARGS)

check: .venv/dev.stamp  ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: .venv/dev.stamp build/emulator.stamp  ## every test; nothing is skipped
	$(BIN)/python -m pytest

bench: .venv/dev.stamp  ## what the claims of speed stand on
	$(BIN)/python -m bench

costs: .venv/dev.stamp  ## what a million PINGs and POSTs cost at list prices
	@$(BIN)/python -m tools.costs

emulator: build/emulator.stamp  ## AWS on http://127.0.0.1:4566, for trying a deployment without an account
	@exec env -u AWS_ENDPOINT_URL BIND_HOST=127.0.0.1 build/emulator/bin/python tools/emulator.py

synth: .venv/dev.stamp  ## the CloudFormation templates, in cdk.out
	$(BIN)/python app.py

bootstrap: named .venv/cdk.stamp  ## an account and region made ready for the CDK, once
	@$(PLAN)
	@$(CDK) bootstrap $(PLACE)

deploy: named .venv/cdk.stamp  ## a stage to AWS: make deploy STAGE=dev [REGION=eu-west-1] [ACCOUNT=111122223333]
	@$(PLAN)
	@$(CDK) deploy $(PLACE) --require-approval never

diff: named .venv/cdk.stamp  ## what a deployment of a stage would change
	@$(PLAN)
	@$(CDK) diff $(PLACE)

destroy: named .venv/cdk.stamp  ## a stage and all that it may delete: make destroy STAGE=dev
	@$(PLAN)
	@$(CDK) destroy $(PLACE) --force

named:
	@[ -n "$(STAGE)" ] || { echo "Name the stage: make $(MAKECMDGOALS) STAGE=dev (infra/stages.py has them)." >&2; exit 2; }

lock: .venv/dev.stamp  ## newest versions within requirements/*.in, with hashes
	$(BIN)/pip install --quiet uv
	cd requirements && for set in dev run functions emulator; do \
	  uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	    $$([ $$set = dev ] || [ $$set = emulator ] || echo --constraint dev.txt) $$set.in --output-file $$set.txt || exit 1; done
	npm install --package-lock-only --omit-lockfile-registry-resolved

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Ringpost needs Python 3.11 or later; this is " + sys.version.split()[0] + ". Name another with PYTHON=…") if sys.version_info < (3, 11) else 0'
	@$(PYTHON) -m venv .venv

.venv/run.stamp: requirements/run.txt package-lock.json | .venv/bin/python
	@echo "Installing what the local run needs (once) …"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.txt
	@$(BIN)/npm ci --omit=dev --silent --no-audit --no-fund
	@touch $@

.venv/dev.stamp: requirements/dev.txt package-lock.json .venv/run.stamp | .venv/bin/python
	@echo "Installing what tests, checks and synth need (once) …"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

# An environment of its own, because the emulator pins botocore; of the same Python, because it runs our functions.
build/emulator.stamp: requirements/emulator.txt | .venv/dev.stamp
	@echo "Installing the emulator of the deploy test (once) …"
	@$(BIN)/python -m venv --clear build/emulator
	@build/emulator/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/emulator.txt
	@touch $@

.venv/cdk.stamp: package-lock.json .venv/dev.stamp
	@echo "Installing the CDK's command (once) …"
	@$(BIN)/npm ci --silent --no-audit --no-fund
	@touch $@

clean:
	rm -rf .venv node_modules cdk.out build
