# The list of things one can do here.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
FUZZ_STAMP := $(VENV)/.installed-fuzz
TEST_PROCESSES ?= auto
FUZZ_SECONDS ?= 600
FUZZ_TARGETS ?=

.PHONY: setup demo test check format lint types imports nightly bench fuzz lock clean pcaps evidence-sweep screens
.PHONY: soak kills bundle

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml .ci/setup
	PYTHON=$(PYTHON) bash .ci/setup $(VENV)
	@touch $(STAMP)

demo: setup
	@$(BIN)/python -m pcaps.demo

# One process for each core; the tests of a file stay together. Both must list them in one order, which sets decide by hashes.
test: setup
	PYTHONHASHSEED=0 $(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist loadfile

check: format lint types imports test

format: setup
	$(BIN)/ruff format --check .

lint: setup
	$(BIN)/ruff check .

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports

# What takes too long for each change: ten times as many requests as the API's contract is tested with.
nightly: setup
	WARDWATCH_CASES=10000 $(BIN)/python -m pytest tests/api/test_contract.py

bench: setup
	$(BIN)/python -m tests.bench

# Each target for FUZZ_SECONDS; FUZZ_TARGETS chooses some of them.
fuzz: $(FUZZ_STAMP)
	$(BIN)/python -m tests.fuzz --seconds $(FUZZ_SECONDS) $(FUZZ_TARGETS)

$(FUZZ_STAMP): $(STAMP) requirements-fuzz.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-fuzz.lock
	@touch $(FUZZ_STAMP)

# Packs of every episode of every capture there is, verified and shown to tshark; some minutes.
evidence-sweep: setup
	$(BIN)/python -m tests.proof.sweep

# A folder in dist/ that installs on a box without internet.
bundle: setup
	$(BIN)/python -m sensor.ops.bundle

# A sensor under load for SOAK_SECONDS, then SOAK_FLOWS flows: needs root.
SOAK_SECONDS ?= 1200
SOAK_FLOWS ?= 10000000
soak: setup
	$(BIN)/python -m tests.live.soak --seconds $(SOAK_SECONDS) --flows $(SOAK_FLOWS)

# Killed again and again under traffic: needs root.
KILLS ?= 100
kills: setup
	$(BIN)/python -m tests.live.kills --kills $(KILLS)

# Pictures of every page, into docs/screens.
screens: setup
	$(BIN)/python -m tests.browser.screens

pcaps: setup
	$(BIN)/python -m pcaps.clinic_morning

COMPILE := --quiet --generate-hashes --allow-unsafe --strip-extras --no-header --no-emit-index-url --no-emit-find-links \
    --no-emit-trusted-host

lock: setup
	$(BIN)/python -m pip install --quiet pip-tools
	$(BIN)/pip-compile $(COMPILE) --output-file requirements.lock requirements-dev.in
	$(BIN)/pip-compile $(COMPILE) --output-file requirements-fuzz.lock requirements-fuzz.in

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
