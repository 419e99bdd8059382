# Every target sets up what it needs: `make demo` and `make test` work on a fresh clone.
# Needs Python 3.11 or newer with venv; a GPU is used where there is one.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(or $(shell command -v uv),.uv/bin/uv)

.PHONY: setup demo test test-fast bench check docs format lock clean

# Others' models are fetched once, and again where they have vanished.
setup: $(VENV)/ready
	@$(BIN)/python -m emopipe.models.assets

.uv/bin/uv:
	$(PYTHON) -m venv .uv
	.uv/bin/pip install --quiet uv

# The build fetches others' models by uv.
$(VENV)/ready: export PATH := $(dir $(abspath $(UV))):$(PATH)
$(VENV)/ready: requirements.txt pyproject.toml | $(UV)
	$(UV) venv --quiet --allow-existing --python $(PYTHON) $(VENV)
	$(UV) pip sync --quiet --require-hashes --python $(BIN)/python requirements.txt
	$(UV) pip install --quiet --no-deps --python $(BIN)/python --editable .
	touch $@

demo: setup
	$(BIN)/emopipe run

test: setup
	$(BIN)/python -m pytest $(PYTEST)

test-fast: setup
	$(BIN)/python -m pytest -m "not slow" --numprocesses auto $(PYTEST)

# Some minutes in all, and only true where nothing else runs: make bench CLIP=clip.mp4, of somebody who speaks.
BENCH := replay latency live startup memory
bench: setup
	@test -n "$(CLIP)" || { echo "name a recording of somebody who speaks: make bench CLIP=clip.mp4" >&2; exit 2; }
	@mkdir -p runs/bench
	@for verb in $(BENCH); do \
		$(BIN)/emopipe bench $$verb "$(CLIP)" --json runs/bench/$$verb.json --svg runs/bench/$$verb.svg || exit; done
	@for verb in transport batching; do \
		$(BIN)/emopipe bench $$verb --json runs/bench/$$verb.json --svg runs/bench/$$verb.svg || exit; done
	$(BIN)/python -m benchmarks.summary runs/bench

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# What is made from the code: the reference of the stages, and the picture of the default graph.
docs: setup
	$(BIN)/emopipe inspect --markdown > docs/stages.md
	$(BIN)/emopipe graph pipeline.toml --format svg --out docs/pipeline.svg

# Versions and hashes only: the lock names no address.
lock: | $(UV)
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--extra demo --extra train --extra onnx --extra lab --extra lsl --extra ray --extra dev --output-file requirements.txt pyproject.toml

clean:
	rm -rf $(VENV) .uv .mypy_cache .pytest_cache .ruff_cache .hypothesis
