# `make run` and `make test` set up all they need in a fresh clone; `make setup` does just that.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
NATIVE := $(wildcard aionoah/hypervisor/native/* aionoah/host/native/*)
ARGS ?= -- /bin/ls -l /

.PHONY: setup run test lint types docs bench test-svm test-programs test-cpython clean

setup: $(STAMP)
	@$(BIN)/python -m compileall -q aionoah

$(STAMP): pyproject.toml $(NATIVE)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check "pip>=25.1"
	$(BIN)/pip install --quiet --disable-pip-version-check --group dev --editable .
	touch $@

run: setup
	$(BIN)/aionoah run $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

test: lint types
	$(BIN)/pytest $(PYTEST_ARGS)

docs: setup
	$(BIN)/python docs/record.py

bench: setup
	$(BIN)/python -m bench $(BENCH_ARGS)

test-svm: setup
	tests/svm/run

test-programs: setup
	$(BIN)/pytest tests/guest/slow_programs.py $(PYTEST_ARGS)

test-cpython: setup
	$(BIN)/python tests/cpython/compare.py $(CPYTHON_ARGS)

clean:
	rm -rf $(VENV) build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
