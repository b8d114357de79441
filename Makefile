# Everything that a developer or CI runs. Each target sets up .venv by itself; a second run reinstalls nothing.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LEGACY := .venv-legacy
DISTRIBUTIONS := $(wildcard plugins/*/pyproject.toml integrations/*/pyproject.toml)
EDITABLE := -e ".[all,offline,testing]" $(foreach file,$(DISTRIBUTIONS),-e $(dir $(file)))

.DEFAULT_GOAL := help
.PHONY: help install demo test test-matrix test-legacy lint format bench docs clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/'

$(STAMP): pyproject.toml constraints.txt $(DISTRIBUTIONS)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt $(EDITABLE) --group dev
	touch $(STAMP)

install: $(STAMP) ## Install host, plugins, integrations and tools into .venv

demo: $(STAMP) ## Index texts, pictures and sound with LangChain and LlamaIndex and search them, offline
	$(BIN)/python examples/demo.py

test: lint ## Lint, type-check and run all tests
	$(BIN)/python -m pytest

test-matrix: $(STAMP) ## Run every architecture of the parity matrix and write its table into the documentation
	$(BIN)/python -m pytest plugins -m "parity or matrix" \
		--parity-results docs/parity.json --parity-page docs/frameworks.md

$(LEGACY)/.installed: pyproject.toml plugins/llm-multi-core-google/pyproject.toml
	test -x $(LEGACY)/bin/python || $(PYTHON) -m venv $(LEGACY)
	$(LEGACY)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(LEGACY)/bin/python -m pip install --quiet -e ".[testing]" -e "plugins/llm-multi-core-google[legacy]" \
		pytest-asyncio pytest-timeout
	touch $(LEGACY)/.installed

test-legacy: $(LEGACY)/.installed ## Test with Google's older SDK, which wants an environment of its own
	$(LEGACY)/bin/python -m pytest plugins/llm-multi-core-google/tests/test_legacy.py

lint: $(STAMP) ## Run ruff and mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(STAMP) ## Format and fix what can be fixed
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: $(STAMP) ## Compare with peers on this machine
	$(BIN)/python benchmarks/host_overhead.py
	$(BIN)/python benchmarks/import_time.py
	$(BIN)/python benchmarks/text_cpu.py
	$(BIN)/python benchmarks/engines.py
	$(BIN)/python benchmarks/images_cpu.py
	$(BIN)/python benchmarks/hosted.py

docs: $(STAMP) ## Build the documentation into site/
	$(BIN)/mkdocs build --strict

clean: ## Remove everything that can be made again
	rm -rf $(VENV) $(LEGACY) site dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
