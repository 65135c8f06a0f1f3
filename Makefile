# `make` alone lists the targets. Only Python 3.11 and its pip are needed.
#
# An environment is complete when its .stamp exists: it is written last. Without one the folder is
# made from nothing; with one older than the pins, pip brings the same folder up to date.

SHELL := /bin/sh
PYTHON ?=
CONSTRAINTS ?=
PYTEST_ARGS ?=
PIP = -m pip --disable-pip-version-check --no-input
# Test files go to two processes at a time, since each of them keeps about one core busy, in the
# order of tests/conftest.py; with PYTEST_ARGS there is one, so that -x, --pdb and prints work.
WORKERS ?= 2
PYTEST = -rs $(if $(PYTEST_ARGS),,--numprocesses=$(WORKERS) --dist=loadfile --no-loadscope-reorder)

.DEFAULT_GOAL := help
.PHONY: help venv venv-tfx quickstart test test-slow test-tfx format lint docs pins device-kit clean clean-runs

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

venv: .venv/.stamp  ## make .venv from the pins, if it is missing or stale

venv-tfx: .venv-tfx/.stamp  ## make .venv-tfx, for the TFX pipelines

quickstart: .venv/.stamp  ## pre-train, evaluate, export and show a tiny ELECTRA, in runs/quickstart
	@.venv/bin/electra_tf quickstart

test: .venv/.stamp .venv-tfx/.stamp  ## fast tests; some of them: make test PYTEST_ARGS='-k masking -x'
	@.venv/bin/python -m pytest $(PYTEST) -m "not slow" --ignore=tests/tfx $(PYTEST_ARGS)
	$(if $(PYTEST_ARGS),,@.venv-tfx/bin/python -m pytest $(PYTEST) -m "not slow" tests/tfx)

test-slow: .venv/.stamp .venv-jax/.stamp .venv-interop/.stamp .venv-tfx/.stamp  ## slow tests; makes all environments
	@ELECTRA_TF_JAX_PYTHON="$(CURDIR)/.venv-jax/bin/python" \
	ELECTRA_TF_INTEROP_PYTHON="$(CURDIR)/.venv-interop/bin/python" \
	    .venv/bin/python -m pytest $(PYTEST) -m slow --ignore=tests/tfx $(PYTEST_ARGS)
	$(if $(PYTEST_ARGS),,@.venv-tfx/bin/python -m pytest $(PYTEST) -m slow tests/tfx)

test-tfx: .venv-tfx/.stamp  ## tests of the TFX part alone, fast and slow; takes PYTEST_ARGS, too
	@.venv-tfx/bin/python -m pytest $(PYTEST) tests/tfx $(PYTEST_ARGS)

format: .venv/.stamp  ## ruff: imports and layout of all files
	@.venv/bin/ruff check --quiet --select=I --fix .
	@.venv/bin/ruff format .

lint: .venv/.stamp .venv-tfx/.stamp  ## ruff, types (basedpyright), spelling (codespell)
	@.venv/bin/ruff check --output-format=concise .
	@.venv/bin/ruff format --check --quiet . || { echo "Run make format." >&2; exit 1; }
	@.venv/bin/basedpyright
	@.venv/bin/codespell

docs: .venv/.stamp  ## pages of the Python API from its docstrings, in build/docs
	@.venv/bin/python .ci/api_pages.py build/docs

pins: build/pins/bin/python  ## renew the requirements files from setup.py [CONSTRAINTS=file]
	@echo "Resolving the requirements with pip (a few minutes) ..."
	@build/pins/bin/python .ci/pins.py $(if $(CONSTRAINTS),--constraints="$(CONSTRAINTS)")

device-kit: .venv/.stamp  ## what tests/device needs on a machine with a GPU, in .gpu: CORPUS=files
	@sh tests/device/prepare.sh --corpus='$(CORPUS)' $(KIT_FLAGS)

clean:  ## remove environments and caches; keeps runs/
	rm -rf .venv .venv-jax .venv-interop .venv-tfx build dist *.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './runs/*' -prune -exec rm -rf {} +

clean-runs:  ## remove runs/: all checkpoints, shards and metrics in it
	rm -rf runs

# Sets $$python to a Python 3.11, or stops with one line.
define find_python
python=; \
for candidate in $(if $(PYTHON),"$(PYTHON)",python3.11 python3); do \
    if "$$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then \
        python=$$candidate; break; \
    fi; \
done; \
if [ -z "$$python" ]; then \
    echo "Python 3.11 not found: install it (Debian, Ubuntu: python3.11 and python3.11-venv)" \
        "or name it, make venv PYTHON=/path/to/python3.11" >&2; \
    exit 1; \
fi
endef

# $(call environment,FOLDER,FILES WITH THE INSTALLERS' PINS,FILE WITH ALL PINS,HOW LARGE,HOW LONG[,BASE])
# The installers (pip, setuptools, …) come first, so that they build the few packages that have
# no wheel; --no-deps because the pins are complete. Packages of the environment BASE are seen, too,
# and are not installed again.
define environment
@set -e; \
if [ ! -f $(1)/.stamp ] || ! $(1)/bin/python $(PIP) --version >/dev/null 2>&1; then \
    $(find_python); \
    rm -rf $(1); \
    "$$python" -m venv $(1); \
    $(if $(6),echo ../../../../$(6)/lib/python3.11/site-packages >$(1)/lib/python3.11/site-packages/base.pth;) \
fi; \
rm -f $(1)/.stamp; \
echo "Installing $(3) into $(1) ($(4); usually $(5)) ..."; \
$(1)/bin/python $(PIP) install -qq --no-deps $$(grep -hE '^(pip|setuptools|wheel|packaging|setuptools-scm)==' $(2)); \
$(1)/bin/python $(PIP) install -qq --no-deps --no-build-isolation -r $(3)
endef

.venv/.stamp: requirements/runtime.txt requirements/dev.txt setup.py
	$(call environment,.venv,requirements/runtime.txt requirements/dev.txt,requirements/dev.txt,3.1 GB,1 to 3 minutes)
	@.venv/bin/python $(PIP) install -qq --no-deps --no-build-isolation --editable .
	@touch $@

.venv-jax/.stamp: requirements/jax.txt
	$(call environment,.venv-jax,requirements/jax.txt,requirements/jax.txt,0.7 GB,under a minute)
	@touch $@

.venv-tfx/.stamp: .venv/.stamp requirements/tfx.txt
	$(call environment,.venv-tfx,requirements/runtime.txt requirements/dev.txt,requirements/tfx.txt,1.0 GB,under a minute,.venv)
	@.venv-tfx/bin/python $(PIP) install -qq --no-deps --no-build-isolation --editable .
	@touch $@

.venv-interop/.stamp: requirements/interop.txt
	$(call environment,.venv-interop,requirements/interop.txt,requirements/interop.txt,1.2 GB,under a minute)
	@touch $@

build/pins/bin/python:
	@set -e; $(find_python); "$$python" -m venv build/pins; \
	build/pins/bin/python $(PIP) install -qq --upgrade pip
