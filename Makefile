PYTHON ?= python3
BIN := .venv/bin

# Modules are compiled when first imported, and kept so: most of what is installed never is.
export PYTHONDONTWRITEBYTECODE :=
INSTALL := $(BIN)/pip install --quiet --no-compile --constraint constraints.txt

# Each test runs once: with checks of types and shapes of every signature, or without. Coverage is
# of the second alone: Python 3.11 traces every line of every package, which makes the first,
# already checked at every call, slower by half.
PYTEST := $(BIN)/pytest -n 2 --dist worksteal -q
CHECKS := --jaxtyping-packages=layerfuse,beartype.beartype

.PHONY: demo test types tests clean

demo: .venv/demo
	$(BIN)/layerfuse demo

test: .venv/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(MAKE) --jobs=2 types tests

types: .venv/dev
	$(BIN)/mypy

# Two processes of tests on two cores: threads of their own would wait for each other.
tests: export OMP_NUM_THREADS = 1
tests: .venv/dev
	$(PYTEST) -m "not unchecked" $(CHECKS)
	$(PYTEST) -m unchecked --cov --cov-report=term:skip-covered

.venv/bin/pip:
	$(PYTHON) -m venv .venv

.venv/demo: .venv/bin/pip pyproject.toml constraints.txt
	$(INSTALL) --editable '.[gguf]'
	touch $@

.venv/dev: .venv/bin/pip pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --upgrade 'pip>=25.1'
	$(INSTALL) --editable '.[gguf]' --group dev
	touch .venv/demo $@

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .coverage demo-classifier dist
