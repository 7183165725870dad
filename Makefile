# What people and CI run. Everything is installed into .venv, nothing anywhere else; a second run starts at once.
PYTHON ?= python3
UV := 0.13.9
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
ENGINES := $(VENV)/.engines
# Tests mostly wait: for brokers, heartbeats, elections. Those that share what is slow to make stay together (tests/conftest.py), and
# come in the order of their folders: what takes long first, so that no process is left with it at the end.
TEST_PROCESSES ?= 5

# Trust what the system trusts, where it has a list: a network with a certificate authority of its own then just works.
export UV_SYSTEM_CERTS ?= $(if $(wildcard /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt),true,false)

.DEFAULT_GOAL := help
.PHONY: help install demo test check bench faults campaign docs lock clean

help: ## This list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED) ## Waggle and all it needs, in .venv

demo: $(INSTALLED) ## The whole stack: ingest the sample documents, ask in two languages, stop
	@$(BIN)/waggle demo

test: $(ENGINES) ## Every test
	$(BIN)/pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder -m "not alone"
	$(BIN)/pytest -m alone $$(grep -rl 'mark\.alone' tests --include='test_*.py')

check: $(INSTALLED) ## Lint, types, layers, spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

bench: $(INSTALLED) ## Measure side by side: a table, and build/bench.json
	$(BIN)/python -m benchmarks

faults: $(INSTALLED) ## Break a running stack hundreds of times: a table, and build/faults.json (SEED=1 RUNS=240)
	$(BIN)/python -m tests.faults $(if $(SEED),--seed $(SEED)) $(if $(RUNS),--runs $(RUNS)) \
	  $(if $(PRODUCTION_TIMES),--production-times)

campaign: $(INSTALLED) ## Break a stack that repairs itself: a table, and build/campaign.json (SEED=1 RUNS=15)
	$(BIN)/python -m tests.healing $(if $(SEED),--seed $(SEED)) $(if $(RUNS),--runs $(RUNS)) \
	  $(if $(PRODUCTION_TIMES),--production-times)

docs: $(INSTALLED) ## Write the generated parts of docs/
	$(BIN)/python -m contracts.snapshots docs/contracts
	$(BIN)/python -m contracts.settings_reference docs/configuration.md
	$(BIN)/python -m observability.figures.reference docs/figures.md
	$(BIN)/python -m deploy.nats.reference docs/nats-users.md
	$(BIN)/python -m deploy.dashboards.writing

lock: $(INSTALLED) ## Resolve pyproject.toml into requirements.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --extra local --extra apprise --extra redis --extra weaviate --extra dev --custom-compile-command "make lock" \
	  --quiet --output-file requirements.lock pyproject.toml
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --constraints requirements.lock --overrides tests/engines/overrides.txt --custom-compile-command "make lock" \
	  --quiet --output-file requirements-engines.lock tests/engines/requirements.in

clean: ## Remove .venv and build
	rm -rf $(VENV) build

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Waggle needs Python 3.11 or newer; $(PYTHON) is older or missing. Try: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "This Python cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "Installing Waggle into $(VENV) (about 6 GB with the encoder's runtime; once, a few minutes)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

# Their metadata asks for what they do not need here (tests/engines/overrides.txt), so the lock is installed as it is.
$(ENGINES): $(INSTALLED) requirements-engines.lock
	@echo "Installing the engines that the tests run against (about 1 GB; once, a minute)"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --require-hashes -r requirements-engines.lock
	@touch $@
