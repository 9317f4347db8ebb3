# Everything happens in .venv, which the first command makes. `make help` lists the commands.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
INSTALL := $(PIP) install --no-build-isolation --editable
TEST_ARGS ?=

# Threads of OpenMP, PyTorch's and scikit-learn's, sleep while they wait. By default they spin, and
# tests take three times as long beside another process.
export OMP_WAIT_POLICY := passive

# The optional peer of the tests. Pinned to builds for the CPU: on Linux, PyPI's own need gigabytes
# of CUDA. `make test TORCH=` does without.
ifeq ($(shell uname -s),Linux)
TORCH ?= torch==2.13.0+cpu
else
TORCH ?= torch==2.13.0
endif
TORCH_INDEX := https://download.pytorch.org/whl/cpu

# The package is installed editable: changed Python files count at once, changed native ones rebuild.
# What builds it stays in .venv, at paths that do not change: only changed files are compiled again.
BUILD_REQUIRES := $(shell sed -n 's/^requires = \[\(.*\)\]/\1/p' pyproject.toml | tr -d ,)
NATIVE := pyproject.toml CMakeLists.txt $(shell find cpp -type f)
BUILD := $(VENV)/.build
INSTALLED := $(VENV)/.installed
TOOLS := $(VENV)/.tools
DOCS := $(VENV)/.docs

# pip's own report of a missing compiler is a page long.
define need_compiler
@for name in $${CXX:-c++ g++ clang++}; do command -v $$name > /dev/null && exit 0; done; \
  echo "No C++ compiler found."; cat cpp/compiler-help.txt; exit 1
endef

.PHONY: help run test lint types docs asan tsan clean
.NOTPARALLEL:

help:
	@echo "make run    build chainrule, train a network on the digits, save it as digits.safetensors"
	@echo "make test   run all tests; TEST_ARGS='-k name' picks some"
	@echo "make lint   check style: ruff, ruff format, clang-format"
	@echo "make types  check types: mypy"
	@echo "make docs   run the documentation's pages and build the site, build/docs/index.html"
	@echo "make asan   run the native tests under AddressSanitizer and UBSan"
	@echo "make tsan   train with several threads under ThreadSanitizer"
	@echo "make clean  remove all that these commands made"
	@echo "PYTHON=...  the Python (3.10 or newer) that .venv is made with; python3 by default"

run: $(INSTALLED)
	$(BIN)/chainrule train digits --out digits.safetensors

test: $(TOOLS) $(INSTALLED)
	$(BIN)/python -m pytest $(TEST_ARGS)

lint: $(TOOLS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	find cpp -name '*.h' -o -name '*.cpp' | xargs $(BIN)/clang-format --dry-run -Werror

types: $(TOOLS) $(INSTALLED)
	$(BIN)/mypy

# A warning is an error: a broken link, a page whose code fails, a docstring that does not render.
docs: $(DOCS) $(INSTALLED)
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs build/docs
	@echo "the site is build/docs/index.html"

# The native tests under sanitizers, each with a build and an environment of its own. Python itself
# is not instrumented: the runtime is loaded before it, and leaks are its own affair.
ASAN := $(VENV)-asan
TSAN := $(VENV)-tsan

asan: $(ASAN)/.installed
	LD_PRELOAD="$$($${CXX:-c++} -print-file-name=libasan.so) $$($${CXX:-c++} -print-file-name=libubsan.so)" \
	  ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 \
	  $(ASAN)/bin/python -m pytest -p no:cacheprovider tests/native $(TEST_ARGS)

tsan: $(TSAN)/.installed
	LD_PRELOAD="$$($${CXX:-c++} -print-file-name=libtsan.so)" \
	  TSAN_OPTIONS=halt_on_error=1:report_bugs=1 CHAINRULE_NUM_THREADS=4 \
	  $(TSAN)/bin/python tests/native/train_with_threads.py

$(ASAN)/.installed: SANITIZE := address,undefined
$(TSAN)/.installed: SANITIZE := thread
$(ASAN)/.installed $(TSAN)/.installed: $(NATIVE)
	$(need_compiler)
	@echo "building chainrule with -fsanitize=$(SANITIZE): this takes a few minutes"
	@$(PYTHON) -m venv --clear $(@D)
	@$(@D)/bin/python -m pip --disable-pip-version-check --quiet install --editable '.[test]' \
	  --config-settings=cmake.define.CHAINRULE_SANITIZE=$(SANITIZE) \
	  --config-settings=build-dir=build/$(@D)
	@touch $@

clean:
	rm -rf $(VENV) $(ASAN) $(TSAN) build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache digits.safetensors
	find src tests -type d -name __pycache__ -exec rm -rf {} +

$(BIN)/python:
	@command -v $(PYTHON) > /dev/null || { \
	  echo "$(PYTHON) not found: install Python 3.10 or newer, or name it: make PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "$$($(PYTHON) --version) is too old: chainrule needs 3.10 or newer; make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2> /dev/null || { \
	  echo "$(PYTHON) lacks venv or ensurepip: on Debian and Ubuntu, sudo apt install python3-venv"; exit 1; }
	@echo "making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv --clear $(VENV)

$(BUILD): pyproject.toml | $(BIN)/python
	$(need_compiler)
	@$(PIP) install $(BUILD_REQUIRES) cmake ninja
	@touch $@

$(INSTALLED): $(NATIVE) $(BUILD)
	$(need_compiler)
	@echo "building and installing chainrule"
	@$(INSTALL) .
	@touch $@

$(TOOLS): $(BUILD)
	$(need_compiler)
	@echo "building and installing chainrule with the tools for tests"
	@$(INSTALL) '.[test]'
	@touch $(INSTALLED)
ifneq ($(TORCH),)
	@echo "installing $(TORCH), with which some tests compare"
	@$(PIP) install --retries 1 --extra-index-url $(TORCH_INDEX) '$(TORCH)' > $(VENV)/torch.log 2>&1 \
	  || echo "no $(TORCH) to be had here: the tests that compare with it will be skipped"
endif
	@touch $@

$(DOCS): $(BUILD)
	$(need_compiler)
	@echo "building and installing chainrule with the tools for the documentation"
	@$(INSTALL) '.[docs]'
	@touch $(INSTALLED) $@
