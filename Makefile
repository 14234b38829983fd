# The two commands a newcomer needs: `make demo` and `make test`. Each makes its own environment first.
.PHONY: demo test test-all check bench bench-analysis matrix soak clean docs
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

help:
	@echo "make demo     run the Hwayo release twice against the embedded cluster: once to the end, once rolled back"
	@echo "make test     the offline suite; with a Go toolchain also the tests on a real API server"
	@echo "make test-all the same with the long tests and in the thorough sizes, as continuous integration runs it"
	@echo "make check    style, types and import contracts"
	@echo "make docs     write the generated documents and CRDs again"
	@echo "make matrix   every crash point of every example's scenarios, with its log"
	@echo "make bench    the table of figures; half an hour (.venv/bin/python -m bench --help chooses rows)"
	@echo "make bench-analysis  false rollbacks and times to detect, by Monte Carlo (QUICK=1: half a minute)"
	@echo "make soak     a hundred kills on a real API server"

# setuptools warns of folders that are named like packages, which is what an editable install is made of: PYTHONWARNINGS.
$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed, found $$($(PYTHON) --version); set PYTHON=..."; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group dev
	touch $@

demo: $(VENV)/.installed
	$(BIN)/python -m controller.cli.demo

test: $(VENV)/.installed
	sh tests/run.sh

test-all: $(VENV)/.installed
	PENSTOCK_THOROUGH=1 sh tests/run.sh

check: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.installed
	$(BIN)/python -m controller.api.crd
	$(BIN)/python -m controller.cli.install_files
	$(BIN)/python -m controller.cli.install_tables
	$(BIN)/python -m controller.cli.documents
	$(BIN)/python -m bench.analysis_pictures

bench: $(VENV)/.installed
	$(BIN)/python -m bench

bench-analysis: $(VENV)/.installed
	$(BIN)/python -m bench.analysis $(if $(QUICK),--quick,--write)

matrix: $(VENV)/.installed
	$(BIN)/python -m tests.matrix

soak: $(VENV)/.installed
	$(BIN)/python -m tests.real.soak

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
