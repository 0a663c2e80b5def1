# Everything a developer needs; `make help` lists it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(shell uv --version >/dev/null 2>&1 && command -v uv || echo $(BIN)/uv)
GET_UV := install --quiet --disable-pip-version-check uv
PACKAGES := domain application projections adapters entrypoints
STAMP := $(VENV)/.installed
# Tests wait more than they compute, for processes and servers: two processors are busy with three or four at once.
SPREAD := --dist worksteal

# What is exported here would send the installer elsewhere.
unexport UV_PYTHON UV_PROJECT_ENVIRONMENT VIRTUAL_ENV

.PHONY: help install init run run-dev demo format lint test test-faults test-servers bench clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP) ## Make the environment in .venv, with .venv/bin/rollbook
init: install ## The same as install

$(STAMP): pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "Rollbook needs Python 3.11 to 3.13; name one with make PYTHON=python3.12"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv --without-pip $(VENV)
	@test -x "$(UV)" || $(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null 2>&1 || true
	@test -x "$(UV)" || if $(BIN)/python -m pip --version >/dev/null 2>&1; then $(BIN)/python -m pip $(GET_UV); else \
		$(PYTHON) -m pip --python $(BIN)/python $(GET_UV) || \
		{ echo "Install uv, or what $(PYTHON) lacks for its own pip (on Debian python3-venv), and try again"; exit 2; }; fi
	@UV_NATIVE_TLS=1 UV_SYSTEM_CERTS=1 "$(UV)" sync --locked --quiet --inexact --no-python-downloads --python $(BIN)/python
	@touch $@

# Without a shell in between, whoever ends make ends Rollbook.
run: install ## Run everything on this machine, without authentication
	exec env AUTH_ENABLED=false API_HOST=127.0.0.1 LOG_FORMAT=$${LOG_FORMAT:-console} $(BIN)/rollbook up

run-dev: install ## The same, saying more
	exec env AUTH_ENABLED=false API_HOST=127.0.0.1 LOG_LEVEL=debug LOG_FORMAT=console $(BIN)/rollbook up

demo: install ## Fill demo-data with a month of a busy fleet, unless it is there, and run on it
	@mkdir -p demo-data && { test -s demo-data/told || DATA_DIR=demo-data $(BIN)/rollbook demo > demo-data/told; }
	@cat demo-data/told
	exec env DATA_DIR=demo-data AUTH_ENABLED=false API_HOST=127.0.0.1 LOG_FORMAT=$${LOG_FORMAT:-console} $(BIN)/rollbook up

format: install ## Format the code
	$(BIN)/ruff format . && $(BIN)/ruff check --fix .

lint: install ## Check format, style, types and layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(PACKAGES) tests
	$(BIN)/lint-imports

test: lint ## Check everything, and run the tests on real servers
	$(BIN)/pytest -q -n 4 $(SPREAD)

test-faults: install ## Run the long crash and fault suite
	$(BIN)/pytest -q -n 3 $(SPREAD) -m faults

test-servers: ## Install the database servers that tests run on beside Postgres 18, where root and apt-get are
	@.ci/test-servers

bench: install ## Measure, beside what a team would use instead
	$(BIN)/python -m tests.bench

clean: ## Delete the environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
