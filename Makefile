# Everything runs in .venv; each stamp says that a locked set of requirements is installed in it.
PYTHON ?= python3
PORT ?= 8000
SECONDS ?= 60
REQUESTS ?= 5000
BIN := .venv/bin
CDK := node_modules/.bin/cdk
BUNDLE ?= lambda
PLACE = --context stage=$(STAGE) --context account=$(ACCOUNT) --context region=$(REGION) --context bundle=$(BUNDLE)
PLAN = $(BIN)/python -m infra.plan $@ "$(STAGE)" "$(ACCOUNT)" "$(REGION)"
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: run configure call call-sip check test bench chaos emulator costs synth fuzz audit sbom golden release bootstrap deploy diff destroy named lock clean

run: .venv/run.stamp  ## the whole service on http://127.0.0.1:$(PORT)
	@exec $(BIN)/python -m tools.local --port $(PORT)

configure: .venv/run.stamp  ## the operator's command: make configure ARGS="apply my.yaml", STAGE=dev for a deployed stage
	@$(if $(REGION),AWS_REGION=$(REGION)) $(BIN)/python -m tools.command $(if $(STAGE),--stage $(STAGE)) $(ARGS)

call: .venv/run.stamp  ## a simulated call to what runs here: make call ARGS="+18005550100 from +16145550123 busy 1 talk 95"
	@$(BIN)/python -m tools.calling $(ARGS)

call-sip: .venv/dev.stamp  ## a real SIP call to what runs here, on the loopback, by sippy and sipp
	@$(BIN)/python -m tools.calling.sip

check: .venv/dev.stamp build/checkov.stamp  ## format, lint, types, import contracts, locks, licenses, static checks
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive app.py shared functions infra tools
	$(BIN)/python -m tools.supply check
	@for stage in dev prod; do \
	  CDK_OUTDIR=build/templates/$$stage CDK_CONTEXT_JSON="{\"stage\": \"$$stage\", \"aws:cdk:bundling-stacks\": []}" $(BIN)/python app.py \
	  && build/checkov/bin/checkov --config-file .checkov.yaml --skip-download --file build/templates/$$stage/*.template.json || exit 1; done

test: .venv/dev.stamp build/emulator.stamp  ## every test; nothing is skipped
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

bench: .venv/dev.stamp  ## what the claims of speed stand on
	$(BIN)/python -m bench

chaos: .venv/dev.stamp  ## sales while everything fails: make chaos SECONDS=600
	@$(BIN)/python -m tests.race.chaos $(SECONDS)

fuzz: .venv/dev.stamp  ## send requests made from both OpenAPI documents: make fuzz REQUESTS=100000
	@$(BIN)/python -m tests.fuzz $(REQUESTS)

audit: .venv/dev.stamp build/audit.stamp  ## ask PyPI and npm for known vulnerabilities of the locked packages
	@$(BIN)/python -m tools.supply audit build/audit/bin/pip-audit

sbom: .venv/dev.stamp  ## write LICENSES.md and the bill of materials from the locks
	@$(BIN)/python -m tools.supply write

golden: .venv/dev.stamp  ## write what this code packs into its tables: make golden, for a release VERSION=0.1.0
	@POWERTOOLS_LOG_LEVEL=CRITICAL POWERTOOLS_METRICS_DISABLED=true $(BIN)/python -W ignore -m tests.golden_values next $(VERSION)

release: .venv/dev.stamp  ## check that a version can be released, and tag it: make release VERSION=0.1.0
	@$(BIN)/python -m tools.release "$(VERSION)"

costs: .venv/dev.stamp  ## what a million PINGs, POSTs and calls cost at list prices
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
	cd requirements && for set in dev run functions emulator checkov; do \
	  uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	    $$([ $$set = dev ] || [ $$set = emulator ] || [ $$set = checkov ] || echo --constraint dev.txt) $$set.in --output-file $$set.txt || exit 1; done
	npm install --package-lock-only --omit-lockfile-registry-resolved
	@echo "Then: make sbom"

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

# checkov has an environment of its own, because it pins boto3 and a hundred other packages.
build/checkov.stamp: requirements/checkov.txt | .venv/dev.stamp
	@echo "Installing checkov, which checks the templates (once) …"
	@$(BIN)/python -m venv --clear build/checkov
	@build/checkov/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/checkov.txt
	@touch $@

# Not locked: only the newest pip-audit is of use.
build/audit.stamp: | .venv/dev.stamp
	@$(BIN)/python -m venv --clear build/audit
	@build/audit/bin/pip install --quiet --disable-pip-version-check pip-audit
	@touch $@

.venv/cdk.stamp: package-lock.json .venv/dev.stamp
	@echo "Installing the CDK's command (once) …"
	@$(BIN)/npm ci --silent --no-audit --no-fund
	@touch $@

clean:
	rm -rf .venv node_modules cdk.out build
