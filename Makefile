# Two jobs: `make demo` sets up and runs the main job, `make test` sets up and checks everything.
# Both make .venv from constraints.txt when it is missing or out of date.

PYTHON ?= python3
BIN := .venv/bin
# One thread a process: two processes on two cores are faster than two threads in each, and
# results do not depend on the number of cores.
export OMP_NUM_THREADS ?= 1
# Most of the 25,000 modules installed are never imported; the others are compiled when they first
# are, and kept, whatever the environment says.
INSTALL := $(BIN)/pip install -q --no-compile -c constraints.txt
demo test check docs: export PYTHONDONTWRITEBYTECODE =

.PHONY: demo test check docs test-slow test-oldest test-install bench mutants clean

demo: .venv/demo
	$(BIN)/counterpoise demo

# What is checked without running tests takes one core each, tests take both. A page of the
# documentation is one namespace, so that a file stays with one process.
test: .venv/dev
	$(MAKE) -j 2 check docs
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

check: .venv/dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

docs: .venv/dev
	rm -rf docs/api/generated
	$(BIN)/sphinx-build -W --keep-going -q -n -b html docs docs/_build
	$(BIN)/python docs/check_links.py docs/_build

test-slow: .venv/dev
	$(BIN)/python -m pytest -m slow

# The lower bounds of pyproject.toml. PyTorch stays as in constraints.txt: its older releases are
# to be had with gigabytes of CUDA only.
OLDEST := .venv-oldest
test-oldest: .venv/dev
	$(BIN)/python tests/oldest_versions.py train --keep torch > .oldest.txt
	test -x $(OLDEST)/bin/python || $(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/pip install -q -c .oldest.txt -e ".[train]" pytest hypothesis sybil
	$(OLDEST)/bin/python -m pytest -m "not slow" tests/core tests/engine/test_parity.py \
		tests/methods/test_agm.py tests/report tests/cli/test_tables.py tests/training/test_module.py \
		tests/training/test_run.py tests/training/test_resume.py tests/training/test_tasks.py

# An empty environment, and one for each extra: minutes, and gigabytes while it runs.
test-install:
	$(PYTHON) tests/installing.py

bench: .venv/demo
	$(BIN)/python benchmarks/cost.py --write

mutants: .venv/dev
	$(BIN)/python benchmarks/mutants.py $(ARGS)

.venv/demo: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(INSTALL) -e ".[train,digits]"
	touch $@

.venv/dev: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(INSTALL) -e ".[dev]"
	touch $@

clean:
	rm -rf .venv .venv-oldest .oldest.txt docs/_build docs/api/generated .mypy_cache .ruff_cache .mutants
