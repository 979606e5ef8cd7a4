PYTHON ?= python3
BIN := .venv/bin

# Array shapes in signatures are checked at run time in the tests of the packages that hold arrays.
SHAPES := -m "not network" --jaxtyping-packages=layerfuse,beartype.beartype
CHECKED := $(addprefix tests/,backbone contract core fuse report score select store train)

.PHONY: demo test clean

demo: .venv/demo
	$(BIN)/layerfuse demo

test: .venv/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n 2 -q --cov --cov-report=term:skip-covered
	$(BIN)/pytest -n 2 -q $(SHAPES) $(CHECKED)

.venv/bin/pip:
	$(PYTHON) -m venv .venv

.venv/demo: .venv/bin/pip pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[gguf]'
	touch $@

.venv/dev: .venv/demo
	$(BIN)/pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/pip install --quiet --constraint constraints.txt --group dev
	touch $@

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .coverage demo-classifier dist
