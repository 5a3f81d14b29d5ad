# The two commands: `make serve` runs the server with demonstration data, `make test` passes the tests.
# Both make the environment in .venv first, and again whenever setup.cfg changes.

SHELL := /bin/sh
PORT ?= 8000
HOST ?= 127.0.0.1
DATA ?= data
PARALLEL ?= -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
export ISOPLETH_DATA ?= $(DATA)

.DEFAULT_GOAL := help
.PHONY: help serve test check format pages bench clean

help: ## Show what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

serve: $(VENV)/.serve pages ## Publish the demonstration datasets and serve them on http://127.0.0.1:8000 (PORT=… HOST=…)
	@exec $(BIN)/isopleth serve config/demo.yml --host $(HOST) --port $(PORT) --data $(DATA)

# One process a core, each with whole files. Many tests start Python, so compiled files are kept whatever is set outside.
test: $(VENV)/.test pages ## Run the tests, or some of them (TESTS=tests/docs)
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest $(PARALLEL) $(TESTS)

check: $(VENV)/.test ## Lint, format, types, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(VENV)/.test ## Measure this server beside others and the bare read (BENCH="--quick")
	@$(BIN)/python tests/benchmarks/run.py $(BENCH)

format: $(VENV)/.test ## Format the code
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

pages: $(VENV)/.serve ## Bundle the scripts of the pages (needs Node.js, or gets it from PyPI)
	@$(BIN)/python -m server.pages.bundle --install-node || echo "isopleth: the pages are served without their map" >&2

clean: ## Remove the environment and everything that was built (not the data)
	rm -rf $(VENV) build *.egg-info server/pages/bundle server/pages/node_modules .mypy_cache .ruff_cache .pytest_cache

# One stamp an installation: the file is newer than setup.cfg exactly when the environment fits it.
$(VENV)/.serve: setup.cfg $(VENV)/pyvenv.cfg
	@echo "isopleth: installing (a minute or two the first time)" >&2
	@$(PIP) install --editable '.[demo]' || { $(no_network); }
	@touch $@

$(VENV)/.test: setup.cfg $(VENV)/pyvenv.cfg
	@echo "isopleth: installing what the tests need" >&2
	@$(PIP) install --editable '.[test]' || { $(no_network); }
	@touch $@ $(VENV)/.serve

$(VENV)/pyvenv.cfg:
	@for python in "$$PYTHON" python3 python3.13 python3.12 python3.14; do \
	  [ -n "$$python" ] && command -v "$$python" >/dev/null 2>&1 || continue; \
	  "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 12))' >/dev/null 2>&1 || continue; \
	  "$$python" -m venv $(VENV) && exit 0; \
	done; \
	rm -rf $(VENV); \
	if command -v uv >/dev/null 2>&1 && uv venv --quiet --seed --python '>=3.12' $(VENV); then exit 0; fi; \
	echo "isopleth: needs Python 3.12 or newer with venv; found: $$(python3 --version 2>&1 || true)." >&2; \
	echo "isopleth: install one (Debian: apt install python3.12-venv; or https://docs.astral.sh/uv), or name it: make PYTHON=/path/to/python3.13" >&2; \
	exit 1

no_network = status=$$?; \
  echo "isopleth: pip could not install the dependencies; is the package index reachable from here?" >&2; exit $$status
