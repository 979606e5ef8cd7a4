PYTHON ?= python3
BIN := .venv/bin

# Modules are compiled when first imported, and kept so: most of what is installed never is.
export PYTHONDONTWRITEBYTECODE :=
INSTALL := $(BIN)/pip install --quiet --no-compile --constraint constraints.txt

# Packages that hold arrays: their tests check shapes and types of every signature at run time. Each
# test runs once, with these checks or without.
CHECKED := $(addprefix tests/,backbone contract core fuse report score select store train)
OTHERS := $(filter-out $(CHECKED) tests/conftest.py tests/__pycache__,$(wildcard tests/*)) src
PYTEST := $(BIN)/pytest -n 2 --dist worksteal -q --cov
PART := --cov-report= --cov-fail-under=0

.PHONY: demo test clean

demo: .venv/demo
	$(BIN)/layerfuse demo

# Two processes of tests on two cores: threads of their own would wait for each other.
test: export OMP_NUM_THREADS = 1
test: .venv/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST) $(PART) -m "not unchecked" --jaxtyping-packages=layerfuse,beartype.beartype $(CHECKED)
	$(PYTEST) $(PART) --cov-append -m unchecked $(CHECKED)
	$(PYTEST) --cov-append --cov-report=term:skip-covered $(OTHERS)

.venv/bin/pip:
	$(PYTHON) -m venv .venv

.venv/demo: .venv/bin/pip pyproject.toml constraints.txt
	$(INSTALL) --editable '.[gguf]'
	touch $@

.venv/dev: .venv/demo
	$(BIN)/pip install --quiet --upgrade 'pip>=25.1'
	$(INSTALL) --group dev
	touch $@

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .coverage demo-classifier dist
