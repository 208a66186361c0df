# Weir on one machine with nothing but Python (3.11 or newer), pip and make. `make help` lists the targets.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Two processes, as two cores allow; a file's tests stay together, and files go in the order of tests/conftest.py.
PYTEST := $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder
ARGS   ?=
# Tests start some hundred processes of ours; where this is set, each of them compiles all it imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help up demo test check clients catalogues format bench truth simulation clean

help: ## list the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 18

up: $(VENV)/.installed ## install what is needed and start the co-op (options: make up ARGS="--data DIR")
	@exec $(BIN)/weir up $(ARGS)

demo: $(VENV)/.installed ## a real co-op of five members in a minute
	@exec $(BIN)/weir demo $(ARGS)

test: $(VENV)/.tested ## install what the tests need and run them all (one: make test ARGS=tests/unit)
	$(PYTEST) $(ARGS)

check: $(VENV)/.tested ## exactly what CI runs: format, lint, types, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(PYTEST)

clients: $(VENV)/.tested ## fetch the clients that pip does not: restic, s3fs, those for JavaScript
	@PYTHON=$(CURDIR)/$(BIN)/python tests/integration/clients/prepare

catalogues: $(VENV)/.tested ## bring translations up to the templates and the code, and say what is missing
	$(BIN)/python -m tests.catalogues

format: $(VENV)/.tested ## put the code in shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.tested ## measure, and print each number with its ratio
	$(BIN)/python -m tests.bench

truth: $(VENV)/.tested ## 1,000 times kill -9 under traffic, all bytes compared (ARGS="--kills 100 --seed 1")
	$(BIN)/python -m tests.truth --kills 1000 $(ARGS)

simulation: $(VENV)/.tested ## 10,000 seeds of the counting core with every fault (ARGS="--seeds 500 --first 1")
	$(BIN)/python -m tests.simulation --seeds 10000 $(ARGS)

clean: ## remove what make made; data directories stay
	rm -rf $(VENV) .clients .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("Weir needs Python 3.11 or newer, and $(PYTHON) is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

# Stamps: a second `make up` starts at once.
$(VENV)/.installed: requirements.txt pyproject.toml | $(BIN)/python
	@echo "installing what requirements.txt locks; this takes a minute the first time"
	$(PIP) install --require-hashes -r requirements.txt
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.tested: requirements-dev.txt $(VENV)/.installed
	$(PIP) install --require-hashes -r requirements-dev.txt
	@touch $@
