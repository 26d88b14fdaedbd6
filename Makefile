# Everything a newcomer needs. 'make' alone lists the targets.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
# What users of exported models install stands beside the plugins: it has no entry point, and knows no pose_core.
PROJECTS := $(sort $(dir $(wildcard plugins/*/pyproject.toml consumers/*/pyproject.toml)))
# Two test processes with one torch thread each do not fight for two cores.
# Processes that tests start would compile the core anew each time where the environment forbids .pyc files.
TEST_ENV := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 PYTHONWARNINGS=default

# The original, to compare with; it needs an environment of its own.
PARITY := .venv-parity
PARITY_STAMP := $(PARITY)/.installed
PARITY_SLEAP := .venv-parity-sleap
PARITY_SLEAP_STAMP := $(PARITY_SLEAP)/.installed

.PHONY: help install demo test test-long test-cluster test-fuzz test-all lint format bench parity docs tables wheels clean

help:
	@echo "make demo      set up, then train a small model on a synthetic animal and show what comes out (demo/report.html)"
	@echo "make test      set up, then run the tests (make test-all: the slow ones too; of those,"
	@echo "               make test-long: trainings, kills, what authors of plugins meet, make test-fuzz: 23,600 spoilt inputs,"
	@echo "               make test-cluster: workers killed 200 times, a real SLURM of one node, and Dask)"
	@echo "make install   the set-up alone: $(VENV) with the core, every plugin under plugins/ and consumers/, editable"
	@echo "make lint      ruff, mypy, import-linter        make format   ruff format"
	@echo "make bench     one table of speeds, in docs/measurements.md too   make clean    remove $(VENV), $(PARITY), demo/, dist/ and site/"
	@echo "make docs      the documentation as a site (site/)   make tables  what is made of the code: tables in the docs, known names"
	@echo "make wheels    the wheels of the core, all plugins and consumers (dist/)"
	@echo "make parity    compare imported models with DeepLabCut 3.0.2, installed in $(PARITY); writes docs/parity.md; files with sleap-io"

install: $(STAMP)

$(STAMP): pyproject.toml Makefile $(wildcard plugins/*/pyproject.toml consumers/*/pyproject.toml)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12"; exit 2; }
	@# Debian's python3 may come without ensurepip; its pip can install into the environment from outside.
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) 2>/dev/null || $(PYTHON) -m venv --clear --without-pip $(VENV)
	test -x $(BIN)/pip || $(PYTHON) -m pip --python $(BIN)/python install --quiet pip
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable . $(addprefix --editable ,$(PROJECTS:/=)) --group dev
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/pose demo --model unet --out demo --overwrite

test: $(STAMP)
	$(TEST_ENV) $(BIN)/python -m pytest -n 2 -q -m "not slow and not long"

# What takes long and is no other case of what "make test" runs: trainings, processes that are killed, the template of each
# kind, every page of the guide, the wheels, an environment that lacks a plugin, the benchmarks.
test-long: $(STAMP)
	$(TEST_ENV) $(BIN)/python -m pytest -n 2 -q -m long --dist worksteal

# 23,600 spoilt inputs, the same each time: names, videos, spellings, YAML, tables, COCO files and results, plugins, run folders, models to
# import, .slp files.
test-fuzz: $(STAMP)
	$(TEST_ENV) $(BIN)/python -m pytest -n 2 -q -m slow --dist worksteal tests/fuzzing

# Debian's packages, as root; elsewhere the test of SLURM is skipped, and says so.
test-cluster: $(STAMP)
	command -v slurmctld >/dev/null || apt-get install -y --no-install-recommends slurmctld slurmd slurm-client munge || echo "SLURM cannot be installed here; its test is skipped"
	$(TEST_ENV) $(BIN)/python -m pytest -q -rs -m "slow or long" tests/workers plugins/slurm/tests plugins/dask/tests

test-all: $(STAMP)
	$(TEST_ENV) $(BIN)/python -m pytest -n 2 -q

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

# Beside the original where "make parity" has installed it. Others: see benchmarks/.
bench: $(STAMP)
	$(BIN)/python benchmarks/table.py --write docs/measurements.md

$(PARITY_STAMP): Makefile
	test -x $(PARITY)/bin/python || $(PYTHON) -m venv $(PARITY) 2>/dev/null || $(PYTHON) -m venv --clear --without-pip $(PARITY)
	test -x $(PARITY)/bin/pip || $(PYTHON) -m pip --python $(PARITY)/bin/python install --quiet pip
	@# With filterpy 2, which it allows, its Kalman filters mix up the parameters of an animal.
	$(PARITY)/bin/python -m pip install --quiet deeplabcut==3.0.2 filterpy==1.4.5
	touch $(PARITY_STAMP)

$(PARITY_SLEAP_STAMP): Makefile
	test -x $(PARITY_SLEAP)/bin/python || $(PYTHON) -m venv $(PARITY_SLEAP) 2>/dev/null || $(PYTHON) -m venv --clear --without-pip $(PARITY_SLEAP)
	test -x $(PARITY_SLEAP)/bin/pip || $(PYTHON) -m pip --python $(PARITY_SLEAP)/bin/python install --quiet pip
	$(PARITY_SLEAP)/bin/python -m pip install --quiet 'sleap-io[opencv]==0.9.5' 'sleap-nn[cpu]==0.3.5'
	touch $(PARITY_SLEAP_STAMP)

parity: $(STAMP) $(PARITY_STAMP) $(PARITY_SLEAP_STAMP)
	$(BIN)/python parity/sleap_files.py --train
	$(BIN)/python parity/evaluation.py
	$(BIN)/python parity/run.py
	$(BIN)/python parity/sleap_models.py --report docs/parity.md

docs: $(STAMP)
	@# Not --quiet: mkdocs then counts no warnings, and --strict lets them pass.
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

tables: $(STAMP)
	$(BIN)/python tools/docs_pages.py
	$(BIN)/python tools/known_names.py

wheels: $(STAMP)
	rm -rf dist
	for folder in . $(PROJECTS); do (cd $$folder && $(abspath $(BIN))/python -m hatchling build -t wheel -d $(abspath dist)) || exit 1; done

clean:
	rm -rf $(VENV) $(PARITY) $(PARITY_SLEAP) demo dist site
