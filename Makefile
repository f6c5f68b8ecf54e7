# Needs Python 3.11 or newer (with venv and pip) and make. Another Python: make PYTHON=python3.13 setup
PYTHON ?= python3
# The environment; another one stays beside it: make VENV=.venv-3.13 PYTHON=python3.13 core
VENV ?= .venv
# Where `make tiny` leaves its runs and their MLflow store.
FOLDER ?= .

# Every path is relative, and so a space in the checkout's own path does no harm.
PY := $(VENV)/bin/python
# As many processes as there are cores; each holds about 1 GB. One that has done its share takes of the others', so that
# none is idle while a file with all the long tests is gone through.
PYTEST := $(PY) -m pytest -q -n auto --maxprocesses 8 --dist worksteal
# What depends on the Python itself, slow tests too; few of these compile a model.
CORE := $(patsubst %,tests/%.py,autograd/test_ops autograd/test_product autograd/test_tensor autograd/test_value \
    cli/test_cli command/test_composing project/test_imports test_signals)
INSTALL := $(PY) -m pip install --quiet --disable-pip-version-check

# The stamps are written last: a set-up that was interrupted is begun anew. .ready holds the
# checkout's path, so that a checkout that was moved or copied does not run the code at its old place.
LOCKED := $(VENV)/.locked
READY := $(VENV)/.ready
# Ray's launcher wants older packages than the rest: they lie over those of .venv, in an environment that
# reads all others there.
RAY := .venv-ray/bin/python
# So does what gptlab is compared with, transformers and TransformerLens on torch: gigabytes that gptlab does not need.
HF := .venv-hf/bin/python
# And so does what makes the site of the docs, twenty small packages.
DOCS := .venv-docs/bin/python
MOVED := $(shell test -x $(PY) && test "$$(cat $(READY) 2>/dev/null)" = "$$(pwd -P)" || echo moved)
ifneq ($(MOVED),)
.PHONY: $(READY)
ifeq ($(wildcard $(PY)),)
.PHONY: $(LOCKED)
endif
endif
# A Python that was asked for is the one that is used: an environment of another one is made anew.
WHICH := -c 'import sys; print(sys.version)'
ifneq ($(origin PYTHON),file)
ifneq ($(shell $(PY) $(WHICH) 2>/dev/null),$(shell $(PYTHON) $(WHICH) 2>/dev/null || echo missing))
.PHONY: $(LOCKED) $(READY)
endif
endif

# Tests start hundreds of processes, of which each would compile all of gptlab's own code anew. `make clean` removes it.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup tiny test core slow again fuzz ray huggingface docs check bench outputs notebook lock clean

help: ## what there is to make
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' Makefile

setup: $(READY) ## create .venv with everything pinned, and gptlab itself (does nothing the second time)

# Where the shell stands that this was typed in, for the commands that a run names at its end.
tiny: export GPTLAB_TYPED_IN = $(value PWD)
tiny: setup ## train the smallest experiment: a few seconds (FOLDER=... says where its runs go)
	@here=$$(pwd) && cd "$(FOLDER)" && "$$here/$(PY)" -m gptlab +experiment=tiny

test: setup ## the quick tests: 6,000 that take less than half a second each
	@$(PYTEST) -m "not slow"

core: setup ## those of the core, the command and signals: what .ci/run asks of each further Python
	@$(PYTEST) $(CORE)

slow: setup ## the slow tests: commands, sweeps and what resumes them, whole experiments, the wheel, the browser
	@$(PYTEST) -m slow

again: setup ## the tests that failed last, one after the other and with nothing beside them
	@$(PY) -m pytest -q --last-failed --last-failed-no-failures none --maxfail 5

SEED ?= 0
fuzz: setup ## the fuzzers to the end: 5,000 commands and files, 2,000 damaged folders, 50 servers, 100 kills (an hour; SEED=1)
	@place=$$(mktemp -d) && trap 'rm -rf "$$place"' EXIT && export XDG_STATE_HOME="$$place/state" && failed= && \
	for of in command.fuzzing/5000 runs.damaging/2000 tracking.answers/50 tracking.killing/100; do \
	    echo "tests.$${of%/*}" && $(PY) -m tests.$${of%/*} "$$place/$${of%/*}" $${of#*/} $(SEED) || failed="$$failed $$of"; \
	done; test -z "$$failed"

ray: setup .venv-ray/.ready ## the tests of sweeps on Ray, which has an environment of its own beside .venv
	@$(RAY) -m pytest -q tests/sweeps/test_ray.py

huggingface: setup .venv-hf/.ready ## the tests beside transformers, TransformerLens and torch, which have an environment of their own
	@$(HF) -m pytest -q $(patsubst %,tests/exchange/test_%.py,transformers transformer_lens gguf)

docs: setup .venv-docs/.ready ## README.md, docs/ and the reference as a site in site/, with every asset inside
	@$(DOCS) -m website

check: setup ## ruff and mypy
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

bench: setup ## how fast it is beside plain JAX, numpy and torch: writes docs/performance.md (half an hour)
	@$(PY) -m benchmarks

outputs: setup ## follow README.md and docs/*.md from top to bottom, and keep in them what is printed now
	@$(PY) -m tests.project.pages

notebook: setup ## run the notebooks of docs/, and keep what they show in them
	@$(PY) -m tests.project.notebook

# uv, because pip cannot write hashes for other systems than its own; one numpy for all Pythons,
# where there is one, so that all see the same numbers. Pins that still fit stay; to renew
# them all, remove requirements.txt first.
lock: ## pin in requirements.txt, requirements-ray.txt and requirements-docs.txt what pyproject.toml asks for
	@uv=$$(mktemp -d) && trap 'rm -rf "$$uv"' EXIT && $(PYTHON) -m venv "$$uv" && \
	"$$uv/bin/python" -m pip install --quiet --disable-pip-version-check uv && \
	for of in "dev requirements.txt" "ray requirements-ray.txt"; do set -- $$of; \
	    test -e $$2 || ! test -e requirements.txt || cp requirements.txt $$2; \
	    "$$uv/bin/python" -m uv pip compile pyproject.toml --extra $$1 --output-file $$2 --quiet \
	        --universal --python-version 3.11 --fork-strategy fewest --generate-hashes --no-annotate \
	        --custom-compile-command "make lock" || exit 1; \
	done && \
	"$$uv/bin/python" -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["docs"], sep="\n")' \
	    > "$$uv/docs.in" && \
	"$$uv/bin/python" -m uv pip compile "$$uv/docs.in" --constraint requirements.txt --output-file requirements-docs.txt --quiet \
	    --universal --python-version 3.11 --fork-strategy fewest --generate-hashes --no-annotate --custom-compile-command "make lock"

clean: ## remove .venv and the tools' caches; runs and their store stay
	rm -rf .venv .venv-* site build/website .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find gptlab tests benchmarks plugins website -name __pycache__ -type d -prune -exec rm -rf {} +

# pip would compile on one core. Some packages hold files that are no Python, of which it says nothing either.
$(LOCKED): requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    echo "gptlab needs Python 3.11 or newer, and '$(PYTHON)' is $$($(PYTHON) --version 2>/dev/null || echo missing). Name another: make PYTHON=python3.13 setup" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "gptlab needs Python's venv and ensurepip, which '$(PYTHON)' lacks. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "Setting up $(VENV): $$(grep -c == requirements.txt) pinned packages, 1.4 GB on disk; a minute or two, once."
	@$(PYTHON) -m venv --clear $(VENV)
	@$(INSTALL) --no-compile --require-hashes --requirement requirements.txt
	@$(PY) -W ignore -m compileall -qq -j 0 $(VENV)/lib || true
	@touch $@

$(READY): $(LOCKED) pyproject.toml
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@pwd -P > $@

.venv-ray/.ready: requirements-ray.txt $(LOCKED) | $(READY)
	@$(PY) -m venv --clear .venv-ray
	@cd .venv-ray/lib/python3*/site-packages && echo ../../../../.venv/lib/python3*/site-packages > below.pth
	@$(RAY) -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-ray.txt
	@touch $@

.venv-docs/.ready: requirements-docs.txt $(LOCKED) | $(READY)
	@$(PY) -m venv --clear .venv-docs
	@cd .venv-docs/lib/python3*/site-packages && echo ../../../../.venv/lib/python3*/site-packages > below.pth
	@$(DOCS) -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes --requirement requirements-docs.txt
	@touch $@

# Pinned in pyproject.toml, without hashes: of torch each system has another build.
.venv-hf/.ready: pyproject.toml $(LOCKED) | $(READY)
	@$(PY) -m venv --clear .venv-hf
	@cd .venv-hf/lib/python3*/site-packages && echo ../../../../.venv/lib/python3*/site-packages > below.pth
	@$(PY) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["huggingface"], "gguf", sep="\n")' \
	    > .venv-hf/pins.txt
	@$(HF) -m pip install --quiet --disable-pip-version-check --requirement .venv-hf/pins.txt
	@touch $@
