# Everything a user or CI calls. Each target is safe to run again and fast the second time.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help install demo test quick lint train-default-head clean

PYTHON ?= python3
BIN := .venv/bin
# A machine with an NVIDIA GPU takes the GPU engine instead: exactly one of [cpu] and [gpu].
ENGINE ?= $(shell command -v nvidia-smi >/dev/null 2>&1 && echo gpu || echo cpu)
PIP := $(BIN)/python -m pip --disable-pip-version-check -q

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-20s %s\n", $$1, $$2}'

.venv/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"mgfn-stream needs Python >= 3.11, this is {v[0]}.{v[1]}: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv .venv

# A stamp for each set of extras: pip runs again only when what it would install has changed.
.venv/.runtime: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) install -c constraints.txt torch==2.13.0
	$(PIP) install -c constraints.txt -e '.[$(ENGINE),export,train,demo,notify]'
	@touch $@

.venv/.dev: .venv/.runtime
	$(PIP) install -c constraints.txt -e '.[dev]'
	@touch $@

install: .venv/.runtime ## make .venv with everything that the commands need here

demo: install ## a staged incident over RTSP, its alarms over MQTT (DURATION=60 ends by itself)
	@$(BIN)/python -m stream.cli.demo $(if $(DURATION),--duration $(DURATION))

.venv/.servers:
	@bash tests/servers/install.sh
	@mkdir -p .venv && touch $@

test: .venv/.dev .venv/.servers lint ## the whole suite: quick tier first, then real servers and models
	$(BIN)/python -m pytest -q -m 'not slow'
	$(BIN)/python -m pytest -q -m slow --durations=10

quick: .venv/.dev ## the quick tier alone
	$(BIN)/python -m pytest -q -m 'not slow'

lint: .venv/.dev ## ruff, mypy (strict), import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@PYTHONPATH=. $(BIN)/lint-imports --no-cache

train-default-head: .venv/.runtime ## make configs/heads/default.safetensors again from ../shared/data
	$(BIN)/python -m recipes.field_head.train

clean: ## remove .venv and caches of tools
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache
