# The list of things one can do here.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: setup demo test check format lint types imports bench lock clean pcaps

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml .ci/setup
	PYTHON=$(PYTHON) bash .ci/setup $(VENV)
	@touch $(STAMP)

demo: setup
	@$(BIN)/python -m pcaps.demo

test: setup
	$(BIN)/python -m pytest

check: format lint types imports test

format: setup
	$(BIN)/ruff format --check .

lint: setup
	$(BIN)/ruff check .

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports

bench: setup
	$(BIN)/python -m tests.bench

pcaps: setup
	$(BIN)/python -m pcaps.clinic_morning

lock: setup
	$(BIN)/python -m pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header --no-emit-index-url \
	    --no-emit-find-links --no-emit-trusted-host --output-file requirements.lock requirements-dev.in

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
