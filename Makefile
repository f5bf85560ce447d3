# roamkey: every target works from a fresh clone; each makes the virtual environment first.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help venv demo test lint format fuzz bench clean

help: ## print these targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

venv: $(STAMP) ## make .venv and install roamkey with its tools into it

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(STAMP) ## the main job on virtual boards: provision, register, move, lose power, come back
	$(BIN)/roamkey lab demo --out demo-out

test: $(STAMP) ## the tests, under CPython and MicroPython (under ten minutes)
	$(BIN)/python -m pytest

lint: $(STAMP) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP) ## let ruff lay the code out
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format .

clean: ## remove what the targets made
	rm -rf $(VENV) demo-out bench/out .pytest_cache .mypy_cache .ruff_cache
