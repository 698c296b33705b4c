# Every target sets up what it needs. `make` alone lists them.

PYTHON ?= python3
WORKERS ?= 2

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
TENSORFLOW := $(VENV)/.tensorflow
BENCH := .venv-bench
SANITIZED := build/sanitize
MEMORY := address,undefined
BUILT_FROM := pyproject.toml constraints.txt CMakeLists.txt $(wildcard native/*)

.DEFAULT_GOAL := help
.PHONY: help setup quickstart test test-tensorflow test-all fuzz check format bench bench-setup sanitize races docs wheel clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 22

setup: $(INSTALLED)  ## make .venv with birnn, its compiled module and the tools, all pinned

# Editable: the tests import this checkout's sources, and the compiled module beside them.
# Both variables, because pip from 25.3 on takes the pins of build requirements from the second.
$(INSTALLED): $(BUILT_FROM)
	@echo "installing into $(VENV), some minutes the first time"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt \
		$(BIN)/python -m pip install --disable-pip-version-check --quiet -e '.[dev]'
	@touch $@

quickstart: $(INSTALLED)  ## train, evaluate and compare on the embedded data, leave a report
	$(BIN)/birnn quickstart

# One thread for each worker: the workers share the cores already. Who has nothing left to do takes
# over half of what another one has.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

test: $(INSTALLED)  ## the tests but for the slow ones, and the examples of all docstrings
	$(PYTEST)

test-tensorflow: $(TENSORFLOW)  ## the tests of Keras on TensorFlow, which is installed for them
	$(BIN)/python -m pytest -m tensorflow tests/keras

$(TENSORFLOW): $(INSTALLED)
	PIP_CONSTRAINT=constraints.txt \
		$(BIN)/python -m pip install --disable-pip-version-check --quiet tensorflow-cpu
	@touch $@

# As CI does every night.
test-all: $(INSTALLED)  ## the slow tests too, and more of what Hypothesis draws
	$(PYTEST) -m "not fuzz and not tensorflow" --hypothesis-profile=full

# A quarter of an hour; `make test` runs a hundred mutations of each.
fuzz: $(INSTALLED)  ## the fuzz tests in full: 10,000 damaged copies of each file and format
	$(PYTEST) -m fuzz tests/fuzz

check: $(INSTALLED)  ## format, lint, types, order of rooms
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED)  ## rewrite the sources as `check` wants them
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: $(INSTALLED)  ## the layers against torch's
	$(BIN)/birnn bench

bench-setup: $(BENCH)/.installed  ## make .venv-bench with the peers of the benchmarks, all pinned

# Not with constraints.txt: Flair's boto3 wants an older python-dateutil than Lightning's.
$(BENCH)/.installed: benchmarks/requirements.txt $(BUILT_FROM)
	test -x $(BENCH)/bin/python || $(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --disable-pip-version-check --quiet \
		-r benchmarks/requirements.txt
	PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt \
		$(BENCH)/bin/python -m pip install --disable-pip-version-check --quiet --no-deps -e .
	@touch $@

# A build of the compiled module with the sanitizers $(1), in the place of the installed one for the
# Python that stands after it. The interpreter itself is not sanitized: what it keeps until its end is
# no leak, and the sanitizers' library $(2) has to be there first.
define sanitized
	PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt \
		$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --upgrade \
		--target $(SANITIZED)/$(2)/site --config-settings=build-dir=$(SANITIZED)/$(2)/cmake \
		--config-settings=cmake.build-type=RelWithDebInfo \
		--config-settings=cmake.define.BIRNN_SANITIZE=$(1) .
	LD_PRELOAD="$$(g++ -print-file-name=lib$(2).so) $$(g++ -print-file-name=libstdc++.so)" \
	ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 OMP_NUM_THREADS=1 \
	BIRNN_NATIVE="$$(ls $(CURDIR)/$(SANITIZED)/$(2)/site/birnn/engine/_native*.so)" \
	PYTHONPATH=tests/sanitize $(BIN)/python
endef

sanitize: $(INSTALLED)  ## the kernels' tests under the address and undefined behaviour sanitizers (Linux, GCC)
	$(call sanitized,$(MEMORY),asan) -m pytest tests/engine

races: $(INSTALLED)  ## the kernels on several threads under the thread sanitizer (Linux, GCC)
	$(call sanitized,thread,tsan) tests/sanitize/races.py

docs: $(INSTALLED)  ## run every block of code of the pages, check their links, build the site into build/site
	$(BIN)/python -m pytest -m "" --doctest-glob=README.md README.md tests/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# By the newest Python that there is: from 3.12 on one wheel is for all. ARGS="--other python3.13" tests it
# on another one, too.
wheel:  ## build a wheel, audit it, install it where no compiler is, test it there, tell its size
	$(PYTHON) benchmarks/wheels.py $(ARGS)

clean:  ## remove what the targets made
	rm -rf $(VENV) $(BENCH) build dist quickstart .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
