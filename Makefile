# The two commands of a new user are `make quickstart` and `make test`; both set themselves up first.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup quickstart test test-all check format types layers wheel spark-environment lock bench clean

BIN := .venv/bin
TESTS ?= tests
OUT ?= build/quickstart
PARTS ?=

help: ## List the commands
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 20

setup: ## Build .venv: locked packages, Horovod from source; nothing to do the second time
	@scripts/setup.sh

quickstart: setup ## Generate data, prepare it on Spark, race the strategies, promote the winner, suggest
	@BIN=$(BIN) OUT=$(OUT) scripts/quickstart.sh

test: check ## The checks, then the tests that are not slow (TESTS=tests/training for some of them)
	@BIN=$(BIN) scripts/test.sh -m "not slow" $(TESTS)

test-all: check ## The checks, then every test: clusters, whole preparations, real data
	@BIN=$(BIN) scripts/test.sh $(TESTS)

check: setup ## Format, lint, types, layers
	@$(BIN)/ruff format --check --quiet . || { echo "run: make format"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest --quiet --no-header tests/test_layers.py

format: setup ## Rewrite the layout of the code
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --quiet --fix .

wheel: setup ## Build the wheel into dist/
	@$(BIN)/python -m pip --disable-pip-version-check wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
	@ls dist/*.whl

spark-environment: wheel ## Pack .venv, Horovod included, into dist/ for executors (spark-submit --archives)
	@scripts/spark_environment.sh

lock: ## Resolve the locks in requirements/ again (needs uv)
	@scripts/lock.sh

bench: setup ## Run benchmarks, record them, write docs/benchmarks.md (PARTS="training scoring" for some)
	@$(BIN)/python benchmarks/run.py $(PARTS)

clean: ## Remove what the commands made, but for .venv
	@rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache spark-warehouse
