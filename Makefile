# Two jobs: `make demo` sets up and runs the main job, `make test` sets up and checks everything.
# Both make .venv from constraints.txt when it is missing or out of date.

PYTHON ?= python3
BIN := .venv/bin
# One thread a process: two processes on two cores are faster than two threads in each, and
# results do not depend on the number of cores.
export OMP_NUM_THREADS ?= 1

.PHONY: demo test check docs test-slow bench mutants clean

demo: .venv/demo
	$(BIN)/counterpoise demo

# A page of the documentation is one namespace, so that a file stays with one process.
test: check docs
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

check: .venv/dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

docs: .venv/dev
	rm -rf docs/api/generated
	$(BIN)/sphinx-build -W --keep-going -q -n -b html docs docs/_build

test-slow: .venv/dev
	$(BIN)/python -m pytest -m slow

bench: .venv/demo
	$(BIN)/python benchmarks/cost.py --write

mutants: .venv/dev
	$(BIN)/python benchmarks/mutants.py $(ARGS)

.venv/demo: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install -q -c constraints.txt -e ".[train,digits]"
	touch $@

.venv/dev: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install -q -c constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf .venv docs/_build docs/api/generated .mypy_cache .ruff_cache .mutants
