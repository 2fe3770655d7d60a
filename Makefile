# Evercrew. `make` alone lists the verbs; `make demo` and `make test` do all of their own set-up.
.DEFAULT_GOAL := help
SHELL := /bin/bash

FAULT ?= corpus_shift
SEED ?= 1
OUT ?= artifacts/demo
ARGS ?=
WORKERS ?= 2

BIN := .venv/bin
PACKAGES := domain policies learning prompts adapters tools agents crews cycles service testbed evals
COVERED := domain policies tools cycles
# Fixed, so that two runs of the same seed do the same arithmetic and two cores are not fought over.
export OMP_NUM_THREADS ?= 1

.PHONY: help setup setup-runtime setup-integration demo demo-full integration test check format chaos bench e2e image lock cov env-example likeness reference wheel-check clean

help:  ## list the verbs
	@printf 'usage: make VERB\n\n'
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'
	@printf '\n  make demo FAULT=bad_deploy SEED=2 OUT=artifacts/mine ARGS="--json result.json"\n'

setup:  ## .venv from the locked dependencies, for development (a second call does nothing)
	@.ci/setup dev

setup-runtime:
	@.ci/setup runtime

setup-integration:
	@.ci/setup integration

demo: setup-runtime  ## one alert on a real small search platform, walked to a verified end
	$(BIN)/evercrew demo --fault $(FAULT) --seed $(SEED) --out $(OUT) $(ARGS)

demo-full: setup-integration  ## the same with Prometheus, Alertmanager, git over HTTPS, S3 and a stand-in of Argo CD
	$(BIN)/evercrew demo --full --fault $(FAULT) --seed $(SEED) --out $(OUT)-full $(ARGS)

integration: setup-integration  ## every adapter against its server or stub; writes the matrix of docs/integrations
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile tests/integrations --matrix docs/integrations/README.md $(ARGS)

test: setup  ## every test, with the coverage threshold (ARGS="tests/tools -k gate" narrows it)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(if $(ARGS),$(ARGS),$(COVERED:%=--cov=%) --cov-report=term --cov-fail-under=90)

cov: setup  ## coverage by line for the covered rooms, with the lines missed
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile $(COVERED:%=--cov=%) --cov-report=term-missing:skip-covered --cov-report=html:artifacts/coverage --cov-fail-under=90

check: setup  ## linters, formatting, types (strict, code and tests), import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: setup  ## put code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

chaos: setup-integration  ## every dependency down, slow and lying at every stage, and kill -9 between any two writes; writes docs/safety.md
	$(BIN)/python -m evals.chaos --workers 4 $(ARGS)

e2e: setup-integration  ## Prometheus and Alertmanager call a running Evercrew; a person approves in a browser; pictures of every page
	$(BIN)/python -m evals.e2e $(ARGS)

image:  ## build the container image with buildah (ARGS=--local-base where no registry is in reach)
	deploy/build-image $(ARGS)

bench: setup  ## overhead of the gate, policy decisions, cycle and start-up, beside their bare work
	$(BIN)/evercrew bench $(ARGS)

lock: setup  ## resolve pyproject.toml again into the hash-pinned locks
	.ci/lock

env-example: setup-runtime  ## write .env.example from the settings
	$(BIN)/python -m service.settings > .env.example

likeness: setup  ## write what the operators' examples teach (after a change of prompts/operator_examples)
	$(BIN)/python -m evals.likeness

reference: setup  ## write docs/reference from commands, settings and configuration, and docs/access.md's table of routes
	$(BIN)/python -m service.reference
	$(BIN)/python -m tests.access.table docs/access.md

wheel-check: setup  ## build the wheel, install it into an empty environment, run it from another folder
	.ci/wheel-check $(ARGS)

clean:  ## remove what the other verbs made, .venv included
	rm -rf .venv .tools build dist artifacts .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find $(PACKAGES) tests -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
