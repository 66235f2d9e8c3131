# Everything here works on a machine with Python 3.11 or newer, make and git. PYTHON=python3.12 picks another one.
# Only what is asked for goes to standard output; pip and make speak on standard error, so that replies can be piped.

PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
PIP    := $(PY) -m pip install --disable-pip-version-check

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help chat up doctor test load crash fuzz check audit format bench lock clean

help:
	@echo 'make chat    a conversation in this terminal (or from a pipe)'
	@echo 'make up      web page, worker and every channel with a token in .env'
	@echo 'make doctor  what is fine, what is missing and how to fix it'
	@echo 'make test    all tests        make check   lint, format, types'
	@echo 'make crash   kills processes  make bench   figures of speed'
	@echo 'make fuzz    SECONDS=60 for each target  make audit  known vulnerabilities, licences'
	@echo 'make load    people write, more and more: some minutes, on a machine with nothing else to do'
	@echo 'make clean   remove what was built (conversations stay in data/)'

chat: $(VENV)/run.stamp
	@$(PY) -m rapport chat

up: $(VENV)/run.stamp
	@$(PY) -m rapport up

doctor: $(VENV)/run.stamp
	@$(PY) -m rapport doctor

# Four at a time: most of what the tests do is to wait for servers and processes.
test: $(VENV)/test.stamp
	@$(PY) -m pytest -n 4 --dist loadgroup

crash: $(VENV)/test.stamp
	@$(PY) -m pytest tests/crash --crash full -n 3 --dist worksteal

# Each target for so long, and then the HTTP API. What was learnt is kept in .fuzz, where the next run goes on.
SECONDS ?= 60
fuzz: $(VENV)/fuzz.stamp
	@$(PY) -m tests.fuzz --seconds $(SECONDS)
	@SCHEMA_EXAMPLES=$$((10 * $(SECONDS))) $(PY) -m pytest -q --timeout 3600 tests/channels/web/test_schema.py

check: $(VENV)/test.stamp
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

# pip-audit asks pypi.org; --strict, as it would call what it could not ask about free of faults.
audit: $(VENV)/audit.stamp
	@$(PY) .ci/dependencies.py
	@$(PY) -m pip_audit --strict --disable-pip --no-deps -r requirements.lock -r requirements-test.lock || { \
	  echo 'Not audited, or not free of known faults: the lines above say which. The audit must reach pypi.org.' >&2; \
	  exit 1; }

format: $(VENV)/test.stamp
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

bench: $(VENV)/run.stamp
	@$(PY) -m bench.pipeline --seconds 5
	@$(PY) -m bench.channels --rounds 1 --messages 100

load: $(VENV)/test.stamp
	@$(PY) -m bench.load --pictures docs/pictures --document docs/reliability.md

# torch goes first and alone: what depends on it then takes the build that is there instead of resolving another.
$(VENV)/run.stamp: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' >&2 || { \
	  echo 'Rapport needs Python 3.11 or newer; name one with PYTHON=/path/to/python.' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo 'This Python has no venv module. On Debian and Ubuntu: sudo apt-get install python3-venv' >&2; exit 1; }
	@echo 'Installing into $(VENV): a minute or two, about 1.3 GB.' >&2
	@$(PYTHON) -m venv $(VENV) >&2 </dev/null
	@$(PIP) "$$(grep '^torch==' requirements.lock)" >&2 </dev/null
	@$(PIP) -r requirements.lock >&2 </dev/null
	@$(PIP) --no-deps --editable . >&2 </dev/null
	@touch $@

$(VENV)/test.stamp: $(VENV)/run.stamp requirements-test.lock
	@$(PIP) -r requirements-test.lock >&2 </dev/null
	@touch $@

$(VENV)/fuzz.stamp $(VENV)/audit.stamp: $(VENV)/%.stamp: $(VENV)/test.stamp pyproject.toml
	@$(PIP) -c requirements.lock -c requirements-test.lock --editable '.[$*]' >&2 </dev/null
	@touch $@

# Writes both locks anew from pyproject.toml. Two packages are needed by other Pythons than the one that resolves.
lock:
	@rm -rf .lock && $(PYTHON) -m venv .lock >&2
	@.lock/bin/pip install "$$(grep '^torch==' requirements.lock)" >&2
	@.lock/bin/pip install . >&2
	@.lock/bin/pip freeze --all --exclude rapport --exclude pip | sed 's/^\(torch==[^+]*\)+.*/\1/' >.lock/run
	@.lock/bin/pip install '.[test,dev]' >&2
	@.lock/bin/pip freeze --all --exclude rapport --exclude pip | sed 's/^\(torch==[^+]*\)+.*/\1/' >.lock/all
	@sed '/^[^#]/,$$d' requirements.lock >.lock/head
	@grep ' ; ' requirements.lock >>.lock/run
	@{ cat .lock/head; sort -fu .lock/run; } >requirements.lock
	@sed '/^[^#]/,$$d' requirements-test.lock >.lock/head
	@{ cat .lock/head; grep -vxFf .lock/run .lock/all; } >requirements-test.lock
	@rm -rf .lock build

clean:
	@rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .fuzz
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
