# Targets for users and CI. Each can be run again, and is fast the second time.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help install demo test quick test-bundles test-modules lint home-assistant drills fuzz field gpu-check train-default-head sbom locked audit lint-deploy dist clean

PYTHON ?= python3
HA_PYTHON ?= python3.13
BIN := .venv/bin
# A machine with an NVIDIA GPU gets the GPU engine instead: install exactly one of [cpu] and [gpu].
ENGINE ?= $(shell command -v nvidia-smi >/dev/null 2>&1 && echo gpu || echo cpu)
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
# The tests import a fraction of what is installed; Python compiles that when it is first imported, and keeps it.
unexport PYTHONDONTWRITEBYTECODE
COMPILE ?= $(if $(filter test quick lint,$(MAKECMDGOALS)),--no-compile)
BESIDE := $(MAKE) --no-print-directory -j2 COMPILE=$(COMPILE)

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-20s %s\n", $$1, $$2}'

.venv/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"mgfn-stream needs Python >= 3.11, this is {v[0]}.{v[1]}: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv .venv

# One stamp per set of extras: pip runs again only if the requirements have changed.
.venv/.runtime: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) install $(COMPILE) -c constraints.txt torch==2.13.0
	$(PIP) install $(COMPILE) -c constraints.txt -e '.[$(ENGINE),export,train,demo,notify]'
	@touch $@

.venv/.dev: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) install $(COMPILE) -c constraints.txt torch==2.13.0 -e '.[$(ENGINE),export,train,demo,notify,cluster,dev]'
	@touch .venv/.runtime $@

install: .venv/.runtime ## create .venv with everything that the commands need on this machine

demo: install ## watch a staged incident over RTSP and print its alarms (DURATION=60 ends after 60 s)
	@$(BIN)/python -m stream.cli.demo $(if $(DURATION),--duration $(DURATION))

.venv/.servers:
	@bash tests/servers/install.sh
	@mkdir -p .venv && touch $@

test: ## run all tests: the quick ones first, then those with real servers and models
	@$(BESIDE) .venv/.dev .venv/.servers
	@$(BESIDE) lint test-bundles test-modules
	$(BIN)/python -m pytest -q -m 'not slow' -n 2 --dist loadfile
	$(BIN)/python -m pytest -q -m 'slow and not alone' -n 5 --dist loadfile --no-loadscope-reorder --durations=10
	$(BIN)/python -m pytest -q -m alone -n 2 --dist loadfile $$(grep -rl mark.alone tests --include='test_*.py')

quick: .venv/.dev test-bundles ## run only the quick tests
	$(BIN)/python -m pytest -q -m 'not slow' -n 2 --dist loadfile

test-bundles: .venv/.dev
	@$(BIN)/python -m tests.built_once

test-modules: .venv/.dev # compiles them, which each of pytest's workers would do otherwise
	@$(BIN)/python -m pytest -q --collect-only > /dev/null || true # the tests say what is wrong

lint: .venv/.dev ## run ruff, mypy (strict) and import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@PYTHONPATH=. $(BIN)/lint-imports --no-cache

home-assistant: ## install Home Assistant for its test, in a Python of its own (HA_PYTHON=python3.13)
	$(HA_PYTHON) -m venv .home-assistant
	.home-assistant/bin/pip install -q --no-deps -r tests/servers/home-assistant.txt

drills: .venv/.dev .venv/.servers ## damage the running service on purpose, and measure (DRILL=name, DRILLS=short; docs/reliability.md)
	$(BIN)/python -m recipes.drills $(if $(filter short,$(DRILLS)),--short) $(DRILL)

fuzz: .venv/.dev ## feed whatever reads foreign bytes with changed ones for a minute each (Atheris)
	$(BIN)/python -m tests.fuzz

field: .venv/.dev ## test the default head on recordings from sources it was not trained on (docs/benchmarks/field.md)
	$(BIN)/python -m recipes.field

gpu-check: .venv/.runtime ## measure the NVIDIA GPU of this machine in eight minutes, into gpu-check.json and .md (WHEELS=DIR with onnxruntime-gpu)
	$(BIN)/mgfn-bench --gpu-check --json gpu-check.json $(if $(WHEELS),--gpu-wheels $(WHEELS))

train-default-head: .venv/.runtime ## train configs/heads/default.safetensors from ../shared/data
	$(BIN)/python -m recipes.field_head.train

.venv/.tools: .venv/bin/python deploy/tools.txt
	$(PYTHON) -m venv .venv/tools
	.venv/tools/bin/python -m pip --disable-pip-version-check -q install -r deploy/tools.txt
	@touch $@

dist: .venv/.tools ## build the wheel and the sdist into dist/, the same bits from the same commit
	.venv/tools/bin/python -m build -q

sbom: .venv/.runtime .venv/.tools ## write dist/sbom.cdx.json: what is installed in .venv, as CycloneDX
	@mkdir -p dist
	.venv/tools/bin/cyclonedx-py environment .venv/bin/python --pyproject pyproject.toml --output-reproducible -o dist/sbom.cdx.json

locked: .venv/.tools ## write locked.txt again: the packages of [cpu,notify] with the hashes of all their files
	.venv/tools/bin/pip-compile -q --generate-hashes --no-emit-options \
	  --no-header --no-annotate --strip-extras --extra cpu --extra notify -c constraints.txt -o locked.txt pyproject.toml

audit: .venv/.dev ## compare the pinned versions with known vulnerabilities, offline: make audit ADVISORIES=FILE (OSV)
	@$(if $(ADVISORIES),,$(error ADVISORIES: give a file, folder or archive of OSV advisories))$(BIN)/python -m recipes.audit $(ADVISORIES)

lint-deploy: .venv/.tools ## lint the Dockerfile (hadolint) and the systemd unit (systemd-analyze security)
	.venv/tools/bin/hadolint deploy/Dockerfile
	systemd-analyze security --offline=yes --threshold=20 deploy/mgfn-stream.service

clean: ## remove .venv and tool caches
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache
