# Every target sets up what it needs by itself; `make help` lists them.
#
#   PYTHON=/path/to/python3.11   the interpreter to set up with (else found)
#   VENV=/path/to/venv           where the environment goes (else .venv)
#   JOBS=2                       how many files of tests run at once (else one a core)
#   OUT=/path/to/folder          where `make quickstart` writes (else runs/quickstart)

PYTHON ?=
VENV ?= .venv
OUT ?= runs/quickstart
JOBS ?= $(shell nproc)
# Installed programs are run as modules of this interpreter: scripts in the
# environment name it by an absolute path, which may be too long or hold spaces.
RUN := "$(VENV)/bin/python" -m
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup quickstart test check format build-files lock bazel clean FORCE

help:  ## Lists the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' Makefile

# The mark is written last, so an interrupted installation leaves none, and it names
# this folder, because an environment does not survive a move.
ifneq ($(shell cat "$(INSTALLED)" 2>/dev/null),$(CURDIR))
$(INSTALLED): FORCE
endif
$(INSTALLED): setup.cfg pyproject.toml constraints.txt tools/setup_venv.sh
	@rm -f "$@"
	@sh tools/setup_venv.sh "$(VENV)" "$(PYTHON)"
	@echo "$(CURDIR)" > "$@"

setup: $(INSTALLED)  ## Makes the environment in .venv (the other targets do it themselves)

quickstart: $(INSTALLED)  ## The whole road: scripted grasps to a learned policy and its report
	@PATH="$(abspath $(VENV))/bin:$$PATH" OUT="$(OUT)" bash tools/quickstart.sh

test: $(INSTALLED)  ## Runs all tests
	@$(RUN) pytest -q -n $(JOBS) --dist loadfile

check: $(INSTALLED)  ## Format, lint, types, layering, BUILD files: everything but the tests
	@VENV="$(VENV)" sh tools/check.sh

format: $(INSTALLED)  ## Formats the code and mends what ruff can mend
	@$(RUN) ruff check --fix-only .
	@$(RUN) ruff format .

build-files: $(INSTALLED)  ## Writes the BUILD files and setup.cfg's packages from the imports
	@$(RUN) thresher.tools.build_files

lock: $(INSTALLED)  ## Resolves setup.cfg again into constraints.txt, with the newest releases
	@"$(VENV)/bin/python" -m venv .build/lock
	@.build/lock/bin/python -m pip install --quiet --disable-pip-version-check uv
	@"$(VENV)/bin/python" tools/lock.py .build/lock/bin/uv

bazel: $(INSTALLED)  ## Builds every target and runs the light tests with Bazel (docs/bazel.md)
	@VENV="$(VENV)" sh tools/bazel.sh

clean:  ## Removes everything made here except the environment, runs and data
	rm -rf .build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
