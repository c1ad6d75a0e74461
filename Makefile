# What people type here. `make` alone lists it.
.DEFAULT_GOAL := help
.PHONY: help env run test fuzz lint format docs docs-check lock peers bench bench-outage drill explore
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c

export VENV ?= .venv
# Without byte code at hand each node that a test starts costs half as much again.
unexport PYTHONDONTWRITEBYTECODE
BIN := $(VENV)/bin
DATA ?= var
CODE := $(wildcard src tests sim bench tools)
# Everything but the real programs runs two abreast; those have ports and clocks of their own.
PYTEST := $(BIN)/pytest --durations=5

help: ## list these
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 16

$(VENV)/.installed: requirements.lock requirements-dev.lock pyproject.toml tools/env.sh
	@tools/env.sh

env: $(VENV)/.installed ## make .venv with the locked packages

run: env ## start a node with embedded defaults; its data goes to ./var
	@exec $(BIN)/skerry up --data-dir $(DATA)

test: env peers lint ## install what the tests need and run all of them
	@failed=0; \
	$(PYTEST) -n 2 --dist worksteal --ignore tests/peers || failed=1; \
	if [ -d tests/peers ]; then $(PYTEST) tests/peers || failed=1; fi; \
	exit $$failed

peers: ## install the real programs the tests talk to (as root, on Debian)
	@tools/peers.sh

fuzz: env ## look for a breaking input: TARGET=core, origin or door, SECONDS=600
	@$(BIN)/python -m tests.fuzz $(or $(TARGET),door) --seconds $(or $(SECONDS),600)

explore: env ## the tests that draw their values, with other and more values than `make test`
	@$(BIN)/pytest -n 2 --dist worksteal --ignore tests/peers --hypothesis-profile=explore

lint: env ## ruff, mypy --strict, the layers
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/ruff format --check $(CODE)
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

format: env ## ruff's formatting and its safe fixes
	@$(BIN)/ruff check --fix $(CODE)
	@$(BIN)/ruff format $(CODE)

docs: env ## write the pages that come from the code
	@$(BIN)/python tools/metrics_page.py --write
	@$(BIN)/python -m tools.clauses_page --write

docs-check: env ## links, commands, settings and metrics of the docs against the code
	@$(BIN)/pytest tests/docs

lock: ## write the locks anew with the newest versions
	@test -x $(BIN)/python || tools/env.sh
	@tools/lock.sh

bench: env peers ## side by side with docker-registry, drayage and nginx
	@$(BIN)/python -m bench

bench-outage: env peers ## the outage matrix with times, beside two other caches
	@$(BIN)/python -m bench.outage

drill: env ## cut a throw-away region off and see what goes on working
	@$(BIN)/skerry drill
