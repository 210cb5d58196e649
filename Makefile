# Every target makes the virtual environment that it needs.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# onnxruntime-gpu runs on the CPU as well; it is built for x86-64 Linux and Windows only.
RUNTIME := $(if $(filter x86_64,$(shell uname -m)),$(if $(filter Darwin,$(shell uname -s)),cpu,gpu),cpu)
# Threads that spin while they wait bring a shared machine to a stand; 8 times as slow was seen.
export OMP_WAIT_POLICY := PASSIVE
# Tests run in one process for each of two cores.
TEST_ENV := OMP_NUM_THREADS=1

.PHONY: demo test crash-test fuzz check format bench load docs clean

demo: $(VENV)/.demo
	@rm -rf runs/demo
	$(BIN)/fdmo train --plugin convexgan --out runs/demo
	$(BIN)/fdmo export onnx runs/demo
	$(BIN)/fdmo evaluate runs/demo/export/model.onnx --split test

test: $(VENV)/.test
	$(TEST_ENV) $(BIN)/pytest -q -n 2 --dist worksteal $(TESTS)

# Runs and exports, each process a new one, killed KILLS times at moments that SEED decides.
crash-test: KILLS ?= 200
crash-test: SEED ?= 0
crash-test: $(VENV)/.test
	@rm -rf runs/crashes
	$(TEST_ENV) $(BIN)/python -P tests/end_to_end/crashes.py --real --kills $(KILLS) --seed $(SEED) \
		--folder runs/crashes

# Each target for so many seconds; what crashes one is kept in fuzz/TARGET.
fuzz: SECONDS ?= 60
fuzz: FUZZ ?= deepfashion deepfashion2 table config image npz idx checkpoint manifest lock onnx
fuzz: $(VENV)/.fuzz
	for target in $(FUZZ); do $(TEST_ENV) $(BIN)/python tests/fuzz/search.py $$target $(SECONDS) || exit 1; done

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.test
	$(BIN)/python tests/benchmarks/run.py $(ONLY)

load: $(VENV)/.test
	$(BIN)/python tests/benchmarks/many_classes.py
	$(BIN)/python tests/benchmarks/large_parts.py table
	$(BIN)/python tests/benchmarks/large_parts.py dictionary
	$(BIN)/python tests/benchmarks/shared_cache.py

docs: $(VENV)/.docs
	$(BIN)/sphinx-build -q -W -b html docs docs/_build/html
	@echo "Built docs/_build/html/index.html"

clean:
	rm -rf $(VENV) docs/_build dist build

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# The editable install again whenever the packaging changes: new entry points appear only then.
$(VENV)/.%: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable ".[$(RUNTIME)$(if $(filter-out demo,$*),$(comma)$*)]"
	@touch $@

comma := ,
